//! Finds operators in a model's file by their names.

/// Beginning of the names of operators that derive one scale from all inputs of a run.
const SCALED_BY_RUN: &[u8] = b"DynamicQuantize";
/// Key of an operator's name in a node of a protobuf file: field 4, of bytes.
const OPERATOR_KEY: u8 = 4 << 3 | 2;

/// Whether a file has operators of dynamic quantisation, in any graph or function: their rounding
/// of an input depends on the other inputs of the run. A name that only looks like one costs
/// time, and changes no answer.
pub(super) fn scales_by_run(file: &[u8]) -> bool {
    let mut from = 0;
    while let Some(at) = find(file.get(from..).unwrap_or_default(), SCALED_BY_RUN) {
        let start = from + at;
        if let Some([OPERATOR_KEY, length]) = file.get(start.saturating_sub(2)..start)
            && usize::from(*length) >= SCALED_BY_RUN.len()
        {
            return true;
        }
        from = start + 1;
    }
    false
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    let first = wanted.first()?;
    let mut from = 0;
    loop {
        let rest = text.get(from..)?;
        let at = from + rest.iter().position(|byte| byte == first)?;
        if text.get(at..)?.starts_with(wanted) {
            return Some(at);
        }
        from = at + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_are_told_from_other_texts() {
        assert!(scales_by_run(b"..DD\x22\x15DynamicQuantizeLinear"));
        assert!(scales_by_run(
            b"DynamicQuantize \x22\x15DynamicQuantizeLinear"
        ));
        assert!(!scales_by_run(b"\x0a\x15DynamicQuantizeLinear"));
        assert!(!scales_by_run(b"\x22\x0eQuantizeLinear DynamicQuant"));
        assert!(!scales_by_run(b""));
    }
}
