//! Recognises catalog statements by their first words.

/// Whether `sql` begins like a catalog statement. Cheap; [`parse`](super::parse) may still refuse
/// it.
pub fn recognise(sql: &str) -> bool {
    let mut words = Words { rest: sql };
    let mut is = |expected: &[&str]| {
        let word = words.next_word();
        expected.iter().position(|e| word.eq_ignore_ascii_case(e))
    };
    const KINDS: [&str; 2] = ["TASK", "MODEL"];
    match is(&["CREATE", "SHOW", "DROP", "ALTER", "EVALUATE"]) {
        None => false,
        Some(0) => match is(&["TASK", "MODEL", "OR"]) {
            Some(2) => is(&["REPLACE"]).is_some() && is(&KINDS).is_some(),
            kind => kind.is_some(),
        },
        Some(1) => match is(&["TASKS", "MODELS", "CREATE"]) {
            Some(2) => is(&KINDS).is_some(),
            kind => kind.is_some(),
        },
        Some(_) => is(&KINDS).is_some(),
    }
}

/// Whether `sql` begins like `SET STATEMENT a = b FOR ...` and may contain a catalog statement.
/// Cheap and approximate: a `FOR` inside a string counts, too.
pub fn recognise_with_settings(sql: &str) -> bool {
    let mut words = Words { rest: sql };
    let mut is = |expected: &str| words.next_word().eq_ignore_ascii_case(expected);
    if !(is("SET") && is("STATEMENT")) {
        return false;
    }
    const FOR: &str = "FOR";
    let bytes = words.rest.as_bytes();
    let mut places = bytes.windows(FOR.len()).enumerate();
    places.any(|(place, word)| {
        let is_for = word.eq_ignore_ascii_case(FOR.as_bytes());
        is_for && words.rest.get(place + FOR.len()..).is_some_and(recognise)
    })
}

/// The words at the start of a text, skipping white space and comments.
struct Words<'a> {
    rest: &'a str,
}

impl<'a> Words<'a> {
    /// The next word; empty if there is another character, or the text ends.
    fn next_word(&mut self) -> &'a str {
        self.skip_blank();
        let end = self
            .rest
            .bytes()
            .position(|b| !(b.is_ascii_alphanumeric() || matches!(b, b'_' | b'$') || b >= 0x80))
            .unwrap_or(self.rest.len());
        // A byte below 0x80 is a character boundary, and so is the end.
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn skip_blank(&mut self) {
        loop {
            self.rest = self.rest.trim_start();
            let after = if let Some(comment) = self.rest.strip_prefix("/*") {
                // The store executes `/*!` comments.
                (!comment.starts_with('!') && !comment.starts_with("M!"))
                    .then(|| comment.split_once("*/"))
                    .flatten()
            } else if self.rest.starts_with('#') || is_dash_comment(self.rest) {
                Some(self.rest.split_once('\n').unwrap_or(("", "")))
            } else {
                None
            };
            match after {
                Some((_, rest)) => self.rest = rest,
                None => return,
            }
        }
    }
}

/// `--` begins a comment only if followed by white space, a control character or the end.
fn is_dash_comment(text: &str) -> bool {
    text.strip_prefix("--").is_some_and(|rest| {
        rest.chars()
            .next()
            .is_none_or(|c| c.is_whitespace() || c.is_control())
    })
}
