//! MariaDB's reports of progress within an answer.

use super::script::Script;
use crate::fidelity::tape::Tape;
use predictsql_proxy::wire::Capabilities;

pub fn scripts() -> Vec<Script<'static>> {
    vec![
        Script::new("reports of progress", reports).needs(Capabilities::MARIADB_PROGRESS),
        Script::new("no reports of progress", no_reports),
    ]
}

/// Statements that report: at their start at the latest, whatever time they take.
const LONG_ONES: [&str; 5] = [
    "ALTER TABLE many ENGINE = Aria",
    "ALTER TABLE many ADD KEY (t), ALGORITHM = COPY",
    "CHECK TABLE texts EXTENDED",
    "OPTIMIZE TABLE texts",
    "ALTER TABLE many DROP KEY t, ENGINE = InnoDB",
];

/// How many come depends on time: that some do does not.
/// They are kept apart from the answers, which are the same.
fn reports(tape: &mut Tape) {
    for sql in LONG_ONES {
        tape.query(sql);
    }
    let lines: Vec<u8> = (300_000..302_000_u32)
        .flat_map(|n| format!("{n}\tline\n").into_bytes())
        .collect();
    tape.load("LOAD DATA LOCAL INFILE 'any' INTO TABLE many", &lines);
    tape.query("DELETE FROM many WHERE n >= 300000");
    let reports = std::mem::take(&mut tape.wire.progress);
    assert!(!reports.is_empty(), "nothing was reported");
    for report in reports {
        // One text: stages, how far, and what.
        assert_eq!(report.payload[3], 1, "{report:?}");
    }
}

fn no_reports(tape: &mut Tape) {
    let reporting = tape.has(Capabilities::MARIADB_PROGRESS);
    tape.query("SET progress_report_time = 0");
    for sql in LONG_ONES {
        tape.query(sql);
    }
    assert!(reporting || tape.wire.progress.is_empty());
}
