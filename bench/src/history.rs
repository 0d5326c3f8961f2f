//! Results over time: one JSON line a run in `bench/history/`.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

/// Appends `result`, with the time (UTC) and the commit (`+` where files differ from it),
/// to `file`.
///
/// # Errors
/// The file cannot be written.
pub fn append(file: &Path, result: &Value) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut line = serde_json::to_string(&stamped(result, date(), commit()))?;
    line.push('\n');
    let mut file = OpenOptions::new().create(true).append(true).open(file)?;
    file.write_all(line.as_bytes())
}

fn stamped(result: &Value, date: Option<String>, commit: Option<String>) -> Value {
    let mut stamped = json!({ "date": date, "commit": commit });
    if let (Some(stamped), Some(result)) = (stamped.as_object_mut(), result.as_object()) {
        stamped.extend(result.clone());
    }
    stamped
}

fn date() -> Option<String> {
    answer("date", &["-u", "+%Y-%m-%dT%H:%M:%SZ"])
}

fn commit() -> Option<String> {
    let commit = answer("git", &["rev-parse", "--short=12", "HEAD"])?;
    let changed = answer("git", &["status", "--porcelain", "--untracked-files=no"])?;
    Some(if changed.is_empty() {
        commit
    } else {
        format!("{commit}+")
    })
}

fn answer(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn each_run_is_one_line_with_date_and_commit() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("new/predict.jsonl");
        append(&file, &json!({ "ratio": 0.9 })).unwrap();
        append(&file, &json!({ "ratio": 0.8 })).unwrap();
        let text = std::fs::read_to_string(file).unwrap();
        let lines: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[1]["ratio"], 0.8);
        assert!(lines[0]["date"].as_str().unwrap().ends_with('Z'));
        assert!(lines[0].as_object().unwrap().contains_key("commit"));
    }
}
