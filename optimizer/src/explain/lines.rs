//! Text lines for a terminal.

/// Maximum line width, in characters.
pub const WIDTH: u32 = 80;

/// Adds `text` after `label`, wrapped at spaces to lines of at most [`WIDTH`] characters.
pub fn wrap(lines: &mut Vec<String>, label: &str, text: &str) {
    let indent = label.chars().count();
    let room = (WIDTH as usize).saturating_sub(indent).max(1);
    let mut line = String::new();
    let mut first = true;
    let mut push = |line: &mut String| {
        let start = if std::mem::take(&mut first) {
            label.to_owned()
        } else {
            " ".repeat(indent)
        };
        lines.push(format!("{start}{}", std::mem::take(line)));
    };
    for word in text.split_whitespace() {
        let mut word: Vec<char> = word.chars().collect();
        let used = line.chars().count();
        if used > 0 && used + 1 + word.len() > room {
            push(&mut line);
        }
        while word.len() > room {
            let rest = word.split_off(room);
            line.extend(word);
            push(&mut line);
            word = rest;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.extend(word);
    }
    push(&mut line);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_is_wider_than_a_terminal() {
        let mut lines = Vec::new();
        wrap(
            &mut lines,
            "Pushdown ",
            &format!("{} {} tail", "word ".repeat(40), "x".repeat(200)),
        );
        assert!(
            lines.iter().all(|l| l.chars().count() <= WIDTH as usize),
            "{lines:?}"
        );
        let joined: String = lines
            .iter()
            .map(|l| l.get(9..).unwrap_or_default().trim())
            .collect();
        assert_eq!(joined.matches('x').count(), 200);
    }
}
