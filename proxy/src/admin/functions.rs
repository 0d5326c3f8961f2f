//! Functions that clients call when they connect.

use super::facts::{Facts, VERSION};
use super::refusal::Refusal;
use super::value::Value;

/// What a function does with its arguments.
type Body = fn(&[Value], &Facts) -> Value;

/// Name, fewest and most arguments, body.
const FUNCTIONS: &[(&str, usize, usize, Body)] = &[
    ("VERSION", 0, 0, |_, _| Value::text(VERSION)),
    ("DATABASE", 0, 0, |_, facts| database(facts)),
    ("SCHEMA", 0, 0, |_, facts| database(facts)),
    ("USER", 0, 0, |_, facts| Value::text(&facts.user)),
    ("SESSION_USER", 0, 0, |_, facts| Value::text(&facts.user)),
    ("SYSTEM_USER", 0, 0, |_, facts| Value::text(&facts.user)),
    ("CURRENT_USER", 0, 0, |_, facts| Value::text(&facts.account)),
    ("CONNECTION_ID", 0, 0, |_, facts| {
        Value::Int(facts.id.into())
    }),
    ("LAST_INSERT_ID", 0, 0, |_, _| Value::Int(0)),
    ("ROW_COUNT", 0, 0, |_, _| Value::Int(-1)),
    ("NOW", 0, 1, |_, facts| Value::text(facts.date_time())),
    ("SYSDATE", 0, 1, |_, facts| Value::text(facts.date_time())),
    ("CURRENT_TIMESTAMP", 0, 1, |_, facts| {
        Value::text(facts.date_time())
    }),
    ("LOCALTIMESTAMP", 0, 1, |_, facts| {
        Value::text(facts.date_time())
    }),
    ("UTC_TIMESTAMP", 0, 1, |_, facts| {
        Value::text(facts.date_time())
    }),
    ("UNIX_TIMESTAMP", 0, 0, |_, facts| {
        Value::Int(facts.unix_seconds().into())
    }),
    ("TIMEDIFF", 2, 2, |arguments, _| time_difference(arguments)),
    ("CONVERT_TZ", 3, 3, |arguments, _| convert_zone(arguments)),
    ("CONCAT", 1, 100, |arguments, _| concat(arguments)),
    ("UPPER", 1, 1, |arguments, _| {
        mapped(arguments, str::to_uppercase)
    }),
    ("LOWER", 1, 1, |arguments, _| {
        mapped(arguments, str::to_lowercase)
    }),
    ("COALESCE", 1, 100, |arguments, _| first_known(arguments)),
    ("IFNULL", 2, 2, |arguments, _| first_known(arguments)),
    ("IF", 3, 3, |arguments, _| choice(arguments)),
    ("CAST", 1, 1, |arguments, _| first_known(arguments)),
    ("CONVERT", 1, 1, |arguments, _| first_known(arguments)),
];

/// Whether a function is also called by its bare name.
pub fn needs_no_parentheses(name: &str) -> bool {
    let bare = [
        "CURRENT_USER",
        "CURRENT_TIMESTAMP",
        "LOCALTIMESTAMP",
        "UTC_TIMESTAMP",
    ];
    bare.iter().any(|bare| bare.eq_ignore_ascii_case(name))
}

/// The value of a function, whose name is in upper case.
pub fn call(name: &str, arguments: &[Value], facts: &Facts) -> Result<Value, Refusal> {
    let mut functions = FUNCTIONS.iter();
    let (_, fewest, most, body) = functions
        .find(|(known, ..)| *known == name)
        .ok_or_else(|| Refusal::unknown_function(name))?;
    if !(*fewest..=*most).contains(&arguments.len()) {
        return Err(Refusal::argument_count(name));
    }
    Ok(body(arguments, facts))
}

fn database(facts: &Facts) -> Value {
    facts.database.as_ref().map_or(Value::Null, Value::text)
}

fn first_known(arguments: &[Value]) -> Value {
    let mut arguments = arguments.iter();
    let known = arguments.find(|value| **value != Value::Null);
    known.cloned().unwrap_or(Value::Null)
}

fn choice(arguments: &[Value]) -> Value {
    let [condition, yes, no] = arguments else {
        return Value::Null;
    };
    match condition.is_true() {
        Some(true) => yes.clone(),
        _ => no.clone(),
    }
}

fn mapped(arguments: &[Value], map: fn(&str) -> String) -> Value {
    let text = arguments.first().and_then(Value::shown);
    text.map_or(Value::Null, |text| Value::Text(map(&text)))
}

fn concat(arguments: &[Value]) -> Value {
    let texts: Option<Vec<String>> = arguments.iter().map(Value::shown).collect();
    texts.map_or(Value::Null, |texts| Value::Text(texts.concat()))
}

/// All times here are of UTC: other zones are not known, as on a server without their tables.
fn convert_zone(arguments: &[Value]) -> Value {
    let is_utc = |zone: &Value| {
        let zone = zone.shown().unwrap_or_default();
        ["UTC", "SYSTEM", "+00:00"]
            .iter()
            .any(|utc| utc.eq_ignore_ascii_case(&zone))
    };
    match arguments {
        [time, from, to] if is_utc(from) && is_utc(to) => time.clone(),
        _ => Value::Null,
    }
}

/// Of two times of one day, which is what clients ask for to find the time zone.
fn time_difference(arguments: &[Value]) -> Value {
    let seconds = |value: &Value| -> Option<(String, i64)> {
        let text = value.shown()?;
        let (date, time) = text.split_once(' ').unwrap_or(("", &text));
        let parts: Option<Vec<i64>> = time.split(':').map(|part| part.parse().ok()).collect();
        let [hour, minute, second] = parts?.try_into().ok()?;
        let of_day = |part: i64, most| (0..=most).contains(&part);
        let whole = of_day(hour, 838) && of_day(minute, 59) && of_day(second, 59);
        whole.then(|| (date.to_owned(), hour * 3600 + minute * 60 + second))
    };
    let [Some((date, late)), Some((other, early))] =
        [0, 1].map(|at| arguments.get(at).and_then(seconds))
    else {
        return Value::Null;
    };
    if date != other {
        return Value::Null;
    }
    let (sign, by) = match late < early {
        true => ("-", early - late),
        false => ("", late - early),
    };
    let (hour, minute, second) = (by / 3600, by / 60 % 60, by % 60);
    Value::Text(format!("{sign}{hour:02}:{minute:02}:{second:02}"))
}

#[cfg(test)]
mod tests {
    use super::super::facts::tests::facts;
    use super::*;

    #[test]
    fn functions_take_their_arguments_and_no_others() {
        let facts = facts();
        let text = |text: &str| Value::text(text);
        let call = |name: &str, arguments: &[Value]| call(name, arguments, &facts).ok();
        assert_eq!(call("CONNECTION_ID", &[]), Some(Value::Int(7)));
        assert_eq!(call("DATABASE", &[]), Some(Value::Null));
        assert_eq!(
            call("CONCAT", &[text("a"), Value::Int(1)]),
            Some(text("a1"))
        );
        assert_eq!(call("CONCAT", &[text("a"), Value::Null]), Some(Value::Null));
        assert_eq!(
            call("NOW", &[Value::Int(6)]),
            Some(text("2000-02-29 12:34:56"))
        );
        let times = [text("2000-02-29 12:34:56"), text("2000-02-29 13:00:00")];
        assert_eq!(call("TIMEDIFF", &times), Some(text("-00:25:04")));
        let zones = ["2001-01-01 01:00:00", "UTC", "utc"].map(text);
        assert_eq!(
            call("CONVERT_TZ", &zones),
            Some(text("2001-01-01 01:00:00"))
        );
        assert_eq!(call("VERSION", &[Value::Int(1)]), None);
        assert_eq!(call("SLEEP", &[Value::Int(1)]), None);
    }
}
