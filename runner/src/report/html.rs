//! Text from outside made safe to stand in the page.

use std::{
    fmt::{self, Display, Formatter, Write},
    path::{Component, Path},
};

/// Shows text with everything replaced that means something in HTML; for content and quoted attributes.
pub(crate) struct Escaped<'a>(pub &'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                // Control characters other than white space: browsers do not show them, some drop the text.
                c if c.is_control() && !matches!(c, '\n' | '\t') => f.write_char('\u{fffd}')?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// [`Escaped`] as a string.
pub(crate) fn escaped(text: &str) -> String {
    Escaped(text).to_string()
}

/// JSON in an element that the page's script reads by `id`. Within JSON, `<` occurs in strings only, so that it
/// can be written as an escape, and the element cannot be closed from inside.
pub(crate) fn json_element(id: &str, json: &str) -> String {
    let json = json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026");
    format!("<script type=\"application/json\" id=\"{}\">{json}</script>\n", Escaped(id))
}

/// A path relative to the run directory as a link from `report/index.html`; `None` if it leads out of it.
pub(crate) fn link_from_report(path: &Path) -> Option<String> {
    let mut link = "..".to_owned();
    for component in path.components() {
        match component {
            Component::Normal(name) => {
                link.push('/');
                for byte in name.as_encoded_bytes() {
                    match byte {
                        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                            link.push(char::from(*byte));
                        }
                        byte => link.push_str(&format!("%{byte:02X}")),
                    }
                }
            }
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(link)
}

/// A report for a place that has nothing beside it: what led to a file of the run directory is plain text.
#[cfg(feature = "ec2")]
pub(crate) fn without_file_links(report: &str) -> String {
    report.replace("<a href=\"../", "<a data-file=\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_outside_becomes_markup() {
        assert_eq!(escaped(r#"<a href="x" b='y'>&"#), "&lt;a href=&quot;x&quot; b=&#39;y&#39;&gt;&amp;");
        assert_eq!(escaped("a\u{0}\u{1b}[31m\n"), "a\u{fffd}\u{fffd}[31m\n");
    }

    #[test]
    fn json_cannot_close_its_element() {
        let element = json_element("x", r#"{"name":"</script><script>alert(1)</script><!--&"}"#);
        assert_eq!(element.matches('<').count(), 2, "{element}");
        assert!(element.contains(r"\u003c/script\u003e"), "{element}");
    }

    #[test]
    fn links_stay_in_the_run_directory() {
        let link = |path: &str| link_from_report(Path::new(path));
        assert_eq!(link("results/a b/x\"#?.json").as_deref(), Some("../results/a%20b/x%22%23%3F.json"));
        assert_eq!(link("./results/x").as_deref(), Some("../results/x"));
        assert_eq!(link("../x"), None);
        assert_eq!(link("/etc/passwd"), None);
    }
}
