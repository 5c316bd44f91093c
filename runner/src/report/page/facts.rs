//! What the hosts said about themselves: a row for each, what differs between them, and what does not.

use super::{plural, value_with_full};
use crate::{
    facts::{Comparison, Counter, Difference, Fact, HostFacts, ORCHESTRATOR, allowance_meaning},
    report::html::escaped,
    units,
};

/// Most rows of counters of all hosts together, for a page of a few megabytes.
const MAX_COUNTERS_PER_PAGE: usize = 20_000;

/// Most counters of one host; their files have all of them.
const MAX_COUNTERS_PER_HOST: usize = 200;

/// A host shows at least this many counters, however many hosts there are.
const MIN_COUNTERS_PER_HOST: usize = 8;

/// Hosts that are named for one value.
const MAX_NAMED_HOSTS: usize = 8;

/// Different values of one fact that are shown.
const MAX_VALUES: usize = 16;

const COLUMNS: [&str; 8] =
    ["Host", "Address", "Instance type", "Zone", "Placement", "Kernel", "Processor", "Allowances exceeded"];

/// The section; nothing for a run whose hosts said nothing.
pub(super) fn render(hosts: &[HostFacts]) -> String {
    if hosts.is_empty() {
        return String::new();
    }
    let max_counters =
        (MAX_COUNTERS_PER_PAGE / hosts.len()).clamp(MIN_COUNTERS_PER_HOST, MAX_COUNTERS_PER_HOST);
    let rows: String = hosts.iter().map(|host| row(host, max_counters)).collect();
    let head: String =
        COLUMNS.iter().map(|title| format!("<th scope=\"col\" class=\"word\">{title}</th>")).collect();
    let comparison = Comparison::of(hosts);
    format!(
        "<section id=\"facts\">\n<h2>What the hosts are</h2>\n<p class=\"lead\">As each host said before the first \
         repetition; counters of the network interface from then until after the last one.</p>\n\
         <div class=\"scroll card\"><table class=\"numbers\">\n<thead><tr>{head}</tr></thead>\n\
         <tbody>\n{rows}</tbody></table></div>\n{differing}{same}</section>\n",
        differing = differing(&comparison.differing),
        same = same(&comparison.same),
    )
}

fn row(host: &HostFacts, max_counters: usize) -> String {
    let known = |source: &str, name: &str| host.get(source, name).map(str::to_owned);
    let of_instance = |own: &str, metadata: &str| {
        known(ORCHESTRATOR, own).or_else(|| known("instance", metadata)).map(|value| (value.clone(), value))
    };
    let cells = [
        address(host),
        of_instance("instance-type", "instance-type"),
        of_instance("zone", "placement/availability-zone"),
        of_instance("placement", "placement/group-name"),
        known("kernel", "release").map(|release| (release.clone(), release)),
        processor(host),
    ];
    let cells: String =
        cells.into_iter().map(|cell| format!("<td class=\"word\">{}</td>", value_with_full(cell))).collect();
    let counters = host.counters();
    format!(
        "<tr><th scope=\"row\">{name}</th>{cells}<td class=\"word\">{allowances}</td></tr>\n\
         <tr><td class=\"files word\" colspan=\"{columns}\">{more}</td></tr>\n",
        columns = COLUMNS.len(),
        name = escaped(&host.name()),
        allowances = allowances(host, &counters),
        more = more(host, &counters, max_counters),
    )
}

/// By which the other hosts know it, and on hover how the rest of the world does.
fn address(host: &HostFacts) -> Option<(String, String)> {
    let private = host.get(ORCHESTRATOR, "private-address")?;
    let public = host.get(ORCHESTRATOR, "public-address");
    let full = public.map_or_else(|| private.to_owned(), |public| format!("{private}, public {public}"));
    Some((private.to_owned(), full))
}

fn processor(host: &HostFacts) -> Option<(String, String)> {
    let model = host.get("lscpu", "Model name")?;
    let count = host.get("lscpu", "CPU(s)").map(|count| format!("{count} × ")).unwrap_or_default();
    let text = format!("{count}{model}");
    Some((text.clone(), text))
}

fn allowances(host: &HostFacts, counters: &[Counter]) -> String {
    let exceeded: Vec<&Counter> = counters.iter().filter(|counter| counter.is_exceeded_allowance()).collect();
    if exceeded.is_empty() {
        let none = || ("none".to_owned(), "no counter of an allowance grew".to_owned());
        return value_with_full(host.has_allowances().then(none));
    }
    let badge = |counter: &&Counter| {
        format!(
            "<span class=\"badge suspect\" title=\"{meaning}\">{name} +{growth}</span> ",
            meaning = escaped(allowance_meaning(&counter.name).unwrap_or_default()),
            name = escaped(counter.name.trim_end_matches("_allowance_exceeded")),
            growth = units::grouped(counter.growth().unwrap_or_default()),
        )
    };
    exceeded.iter().map(badge).collect()
}

/// What is known of the host beside its row, folded away.
fn more(host: &HostFacts, counters: &[Counter], max_counters: usize) -> String {
    let changed = host.changed_meanwhile();
    let mut html = String::new();
    if !changed.is_empty() {
        let rows: String = changed
            .iter()
            .map(|(fact, after)| fact_row(fact, &format!("{} → {after}", fact.value)))
            .collect();
        html.push_str(&format!("<p>Not the same after the run:</p>{}", table(&["Fact", "Value"], &rows)));
    }
    let own: String = host.own().iter().map(|fact| fact_row(fact, &fact.value)).collect();
    if !own.is_empty() {
        html.push_str(&table(&["Fact", "Value"], &own));
    }
    if !counters.is_empty() {
        let rows: String = counters.iter().take(max_counters).map(counter_row).collect();
        html.push_str(&table(&["Counter", "Before", "After", "Change"], &rows));
    }
    let hidden = counters.len().saturating_sub(max_counters);
    if hidden > 0 {
        let (hidden, role, index) = (plural(hidden, "counter"), host.role.word(), host.index);
        html.push_str(&format!("<p class=\"muted\">And {hidden} more, see facts/{role}-{index}.</p>"));
    }
    if html.is_empty() {
        return value_with_full(None);
    }
    let mut title = format!("{} changed", plural(counters.len(), "counter"));
    if !changed.is_empty() {
        title.push_str(&format!(", {} changed", plural(changed.len(), "setting")));
    }
    format!("<details><summary>{title}</summary>{html}</details>")
}

fn counter_row(counter: &Counter) -> String {
    let change = match counter.growth() {
        Some(growth) => format!("+{}", units::grouped(growth)),
        None => format!("−{}", units::grouped(counter.before - counter.after)),
    };
    format!(
        "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{change}</td></tr>\n",
        escaped(&counter.name),
        units::grouped(counter.before),
        units::grouped(counter.after),
    )
}

fn differing(differences: &[Difference]) -> String {
    if differences.is_empty() {
        return String::new();
    }
    let rows: String = differences.iter().map(difference_row).collect();
    format!(
        "<details class=\"card\" open><summary>Not the same on all hosts \
         <span class=\"muted\">{}</span></summary>\n{}</details>\n",
        plural(differences.len(), "fact"),
        table(&["Fact", "Values, and who has them"], &rows),
    )
}

fn difference_row(difference: &Difference) -> String {
    let Difference { source, name, values } = difference;
    let shown = values.iter().take(MAX_VALUES).map(|(value, hosts)| {
        let value = match value {
            Some(value) => escaped(value),
            None => "<span class=\"unknown\">not there</span>".to_owned(),
        };
        let named: Vec<&str> = hosts.iter().take(MAX_NAMED_HOSTS).map(String::as_str).collect();
        let more = match hosts.len().saturating_sub(MAX_NAMED_HOSTS) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        format!("<div>{value} <small>{}{more}</small></div>", escaped(&named.join(", ")))
    });
    let mut cell: String = shown.collect();
    if values.len() > MAX_VALUES {
        cell.push_str(&format!("<div class=\"muted\">and {} more values</div>", values.len() - MAX_VALUES));
    }
    format!("<tr><th scope=\"row\">{}</th><td class=\"text\">{cell}</td></tr>\n", fact_name(source, name))
}

fn same(facts: &[Fact]) -> String {
    if facts.is_empty() {
        return String::new();
    }
    let rows: String = facts.iter().map(|fact| fact_row(fact, &fact.value)).collect();
    format!(
        "<details class=\"card\"><summary>The same on all hosts <span class=\"muted\">{}</span></summary>\n{}\
         </details>\n",
        plural(facts.len(), "fact"),
        table(&["Fact", "Value"], &rows),
    )
}

fn fact_row(fact: &Fact, value: &str) -> String {
    format!(
        "<tr><th scope=\"row\">{}</th><td class=\"text\">{}</td></tr>\n",
        fact_name(&fact.source, &fact.name),
        escaped(value),
    )
}

fn fact_name(source: &str, name: &str) -> String {
    format!("{} <small>{}</small>", escaped(name), escaped(source))
}

fn table(head: &[&str], rows: &str) -> String {
    let (class, title_class) =
        if head.len() > 2 { (" class=\"numbers\"", "") } else { ("", " class=\"word\"") };
    let head: String =
        head.iter().map(|title| format!("<th scope=\"col\"{title_class}>{title}</th>")).collect();
    format!(
        "<div class=\"scroll\"><table{class}><thead><tr>{head}</tr></thead>\n<tbody>\n{rows}</tbody></table></div>\n"
    )
}
