//! Where two transcripts differ first, short enough to be read.

/// Longer lines are cut where transcripts are shown.
const SHOWN_LINE_CHARS_MAX: usize = 400;
/// Lines shown of each transcript, from the first that differs.
pub const SHOWN_LINES: usize = 6;

/// The first lines that differ, or `None`.
pub fn difference(direct: &str, other: &str) -> Option<String> {
    if direct == other {
        return None;
    }
    let (direct, other): (Vec<&str>, Vec<&str>) =
        (direct.lines().collect(), other.lines().collect());
    let pairs = direct.iter().zip(&other);
    let same = pairs.take_while(|(direct, other)| direct == other).count();
    let part = |mark: &str, lines: &[&str]| {
        let lines = lines.iter().skip(same).take(SHOWN_LINES);
        let shown: Vec<String> = lines
            .map(|line| format!("{mark} {}\n", cut(line)))
            .collect();
        shown.concat()
    };
    let before = same.checked_sub(1).and_then(|index| direct.get(index));
    Some(format!(
        "line {}, after {}\n{}{}",
        same + 1,
        before.map_or_else(|| "nothing".to_owned(), |line| cut(line)),
        part("direct: ", &direct),
        part("proxied:", &other)
    ))
}

/// The last lines of a transcript.
pub fn last_lines(transcript: &str) -> String {
    let lines: Vec<String> = transcript.lines().map(cut).collect();
    lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n")
}

fn cut(line: &str) -> String {
    line.chars().take(SHOWN_LINE_CHARS_MAX).collect()
}

#[test]
fn a_difference_is_seen_wherever_it_is() {
    let direct = "a\nb\nc\n";
    assert_eq!(difference(direct, direct), None);
    for (other, line) in [
        ("a\nb\nd\n", "line 3, after b\ndirect:  c\nproxied: d\n"),
        ("a\nb\n", "line 3, after b\ndirect:  c\n"),
        (
            "",
            "line 1, after nothing\ndirect:  a\ndirect:  b\ndirect:  c\n",
        ),
        ("a\nb\nc\nd\n", "line 4, after c\nproxied: d\n"),
        ("a\nb\nc", "line 4, after c\n"),
    ] {
        assert_eq!(
            difference(direct, other).as_deref(),
            Some(line),
            "{other:?}"
        );
    }
}
