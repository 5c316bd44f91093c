//! What the hosts are, on the page of a report.

use super::{Page, page_of, run, small};
use std::fs;

#[test]
fn what_the_hosts_are_is_on_the_page() {
    let (run_dir, _) = run(&small());
    assert!(
        !page_of(run_dir.path()).html.contains("id=\"facts\""),
        "a run without facts has no such section"
    );
    let before = |rmem: &str| {
        format!(
            "time\tutc\t2026-11-23T00:00:00Z\nkernel\trelease\t6.1.0-<b>\nlscpu\tModel name\tXeon & Co\n\
             lscpu\tCPU(s)\t8\nsysctl\tnet.ipv4.tcp_rmem\t{rmem}\nsysctl\tnet.core.somaxconn\t4096\n\
             interface\tname\tens5\nethtool\tbw_in_allowance_exceeded\t0\nethtool\tpps_allowance_exceeded\t5\n\
             ethtool\tqueue_0_tx_cnt\t10\nhalf a line"
        )
    };
    for (host, zone, rmem, exceeded) in
        [("client-0", "us-east-1a", "4096", 1234), ("server-0", "us-east-1b", "<script>", 0)]
    {
        let directory = run_dir.path().join("facts").join(host);
        fs::create_dir_all(&directory).expect("writable");
        let after = before(rmem)
            .replace("bw_in_allowance_exceeded\t0", &format!("bw_in_allowance_exceeded\t{exceeded}"));
        let known = format!("orchestrator\tzone\t{zone}\norchestrator\tinstance-type\tc6i.<large>\n");
        for (name, text) in [("before", before(rmem)), ("after", after), ("orchestrator", known)] {
            fs::write(directory.join(format!("{name}.tsv")), text).expect("writable");
        }
    }
    let html = page_of(run_dir.path()).html;
    let section = html.split("<section id=\"facts\">").nth(1).expect("the section is there");
    let section = section.split("</section>").next().expect("it ends");
    for text in [
        "<th scope=\"row\">client 0</th>",
        "us-east-1a",
        "us-east-1b",
        "c6i.&lt;large&gt;",
        "6.1.0-&lt;b&gt;",
        "8 × Xeon &amp; Co",
        ">bw_in +1,234</span>",
        "no counter of an allowance grew",
        "Not the same on all hosts <span class=\"muted\">1 fact</span>",
        "<div>4096 <small>client 0</small></div><div>&lt;script&gt; <small>server 0</small></div>",
        "The same on all hosts <span class=\"muted\">5 facts</span>",
    ] {
        assert!(section.contains(text), "{text}: {section}");
    }
    assert!(!section.contains("queue_0_tx_cnt"), "it did not change: {section}");
    let same = section.split("The same on all hosts").nth(1).expect("the last table");
    assert!(same.contains("net.core.somaxconn") && !same.contains("tcp_rmem"), "{same}");
}

#[test]
fn the_facts_of_many_hosts_do_not_make_a_page_of_any_size() {
    let (run_dir, _) = run(&small());
    let bytes = |page: &Page| page.html.len();
    let empty = bytes(&page_of(run_dir.path()));
    for index in 0..500 {
        let directory = run_dir.path().join(format!("facts/server-{index}"));
        fs::create_dir_all(&directory).expect("writable");
        let counters = |value: u32| -> String {
            (0..400).map(|queue| format!("ethtool\tqueue_{queue}_tx_cnt\t{}\n", value + queue)).collect()
        };
        fs::write(directory.join("before.tsv"), counters(0)).expect("writable");
        fs::write(directory.join("after.tsv"), counters(1_000_000_000)).expect("writable");
    }
    let page = page_of(run_dir.path());
    assert!(page.html.contains("And 360 counters more, see facts/server-499."), "40 of 400 are shown");
    assert!(bytes(&page) - empty < 4_000_000, "{} bytes", bytes(&page) - empty);
}
