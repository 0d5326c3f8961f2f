//! Built-in functions of the store without side effects, which may be called for rows that
//! predictions drop.

use std::ops::Range;

use sqlparser::tokenizer::Token;

use super::text::{LexMode, Lexed};

/// MariaDB's built-in functions (`information_schema.SQL_FUNCTIONS` and those of its grammar)
/// without side effects, and keywords that may precede a parenthesis without being a function.
/// Excluded: BENCHMARK, GET_LOCK and related functions, LAST_INSERT_ID, MASTER_*_WAIT, SLEEP,
/// sequences.
const HARMLESS: &str = "
 ABS ACOS ADDDATE ADDTIME ADD_MONTHS AES_DECRYPT AES_ENCRYPT ALL AND ANY AS ASC ASCII ASIN ATAN ATAN2 AVG
 BETWEEN BIN BINARY BIT_AND BIT_COUNT BIT_LENGTH BIT_OR BIT_XOR BY CASE CAST CEIL CEILING CHAR CHARACTER_LENGTH
 CHARSET CHAR_LENGTH CHR COALESCE COERCIBILITY COLLATION COLUMN_CHECK COLUMN_CREATE COLUMN_EXISTS COLUMN_GET
 COLUMN_JSON COLUMN_LIST COMPRESS CONCAT CONCAT_WS CONNECTION_ID CONV CONVERT CONVERT_TZ COS COT COUNT CRC32
 CRC32C CURDATE CURRENT_DATE CURRENT_ROLE CURRENT_TIME CURRENT_TIMESTAMP CURRENT_USER CURTIME DATABASE DATE
 DATEDIFF DATETIME DATE_ADD DATE_FORMAT DATE_SUB DAY DAYNAME DAYOFMONTH DAYOFWEEK DAYOFYEAR DECIMAL DECODE DEFAULT
 DEGREES DESC DISTINCT DIV DOUBLE ELSE ELT EXISTS EXP EXPORT_SET EXTRACT EXTRACTVALUE FIELD FIND_IN_SET FLOAT
 FLOOR FORMAT FROM FROM_BASE64 FROM_DAYS FROM_UNIXTIME GREATEST GROUP_CONCAT HEX HOUR IF IFNULL IN INET6_ATON
 INET6_NTOA INET_ATON INET_NTOA INSERT INSTR INTEGER INTERVAL IS ISNULL IS_IPV4 IS_IPV6 JOIN JSON_ARRAY
 JSON_ARRAY_APPEND JSON_ARRAY_INSERT JSON_COMPACT JSON_CONTAINS JSON_CONTAINS_PATH JSON_DEPTH JSON_DETAILED
 JSON_EQUALS JSON_EXISTS JSON_EXTRACT JSON_INSERT JSON_KEYS JSON_LENGTH JSON_LOOSE JSON_MERGE JSON_MERGE_PATCH
 JSON_MERGE_PRESERVE JSON_NORMALIZE JSON_OBJECT JSON_OVERLAPS JSON_PRETTY JSON_QUERY JSON_QUOTE JSON_REMOVE
 JSON_REPLACE JSON_SEARCH JSON_SET JSON_TYPE JSON_UNQUOTE JSON_VALID JSON_VALUE LAST_DAY LCASE LEAST LEFT LENGTH
 LENGTHB LIKE LN LOCALTIME LOCALTIMESTAMP LOCATE LOG LOG10 LOG2 LOWER LPAD LTRIM MAKEDATE MAKETIME MAKE_SET MAX
 MD5 MEDIUMINT MICROSECOND MID MIN MINUTE MOD MONTH MONTHNAME NATURAL_SORT_KEY NOT NOW NULLIF NVARCHAR NVL NVL2 OCT
 OCTET_LENGTH ON OR ORD OVER PERIOD_ADD PERIOD_DIFF PI POSITION POW POWER QUARTER QUOTE RADIANS RAND RANDOM_BYTES
 REGEXP REGEXP_INSTR REGEXP_REPLACE REGEXP_SUBSTR REPEAT REPLACE REVERSE RIGHT RLIKE ROUND ROW RPAD RTRIM SCHEMA
 SECOND SEC_TO_TIME SELECT SESSION_USER SFORMAT SHA SHA1 SHA2 SIGN SIN SOME SOUNDEX SPACE SQRT STD STDDEV
 STDDEV_POP STDDEV_SAMP STRCMP STR_TO_DATE SUBDATE SUBSTR SUBSTRING SUBSTRING_INDEX SUBTIME SUM SYSDATE SYSTEM_USER
 SYS_GUID TAN THEN TIME TIMEDIFF TIMESTAMP TIMESTAMPADD TIMESTAMPDIFF TIME_FORMAT TIME_TO_SEC TO_BASE64 TO_CHAR
 TO_DAYS TO_SECONDS TRIM TRUNCATE UCASE UNCOMPRESS UNCOMPRESSED_LENGTH UNHEX UNION UNIX_TIMESTAMP UPDATEXML UPPER
 USER USING UTC_DATE UTC_TIME UTC_TIMESTAMP UUID UUID_SHORT VALUES VARBINARY VARCHAR VARIANCE VAR_POP VAR_SAMP
 VERSION WEEK WEEKDAY WEEKOFYEAR WEIGHT_STRING WHEN WHERE XOR YEAR YEARWEEK ";

/// The first function called in `range`, outside the ranges `calls`, that is not in the list:
/// stored functions, user-defined ones, and those with side effects.
pub(crate) fn not_harmless(
    lexed: &Lexed<'_>,
    range: Range<usize>,
    calls: &[Range<usize>],
) -> Option<String> {
    range
        .filter(|at| !calls.iter().any(|c| c.contains(at)))
        .find_map(|at| {
            let Some(Token::Word(word)) = lexed.token(at) else {
                return None;
            };
            if !matches!(lexed.token(at + 1), Some(Token::LParen)) {
                return None;
            }
            let plain = lexed.keyword(at).is_some();
            let name = word.value.to_ascii_uppercase();
            let known = plain && is_harmless(&name);
            (!known).then(|| format!("{}()", word.value))
        })
}

/// Whether the list has a name, in upper case.
pub(super) fn is_harmless(name: &str) -> bool {
    HARMLESS.split_whitespace().any(|harmless| harmless == name)
}

/// Whether a query may have side effects, under any sql_mode: it assigns, writes a file, advances
/// a sequence, or calls a function not known to be harmless. No false negatives.
pub fn may_leave_traces(text: &str) -> bool {
    let changes = |lexed: &Lexed<'_>| {
        let lexemes = 0..lexed.lexemes.len();
        let writes = |at| {
            let words = ["INTO", "NEXT"];
            words.iter().any(|word| lexed.is_keyword(at, word))
        };
        lexemes.clone().any(writes) || not_harmless(lexed, lexemes, &[]).is_some()
    };
    let lower = text.to_ascii_lowercase();
    let signs = [":=", "/*!", "/*m!", "nextval"];
    if signs.iter().any(|sign| lower.contains(sign)) {
        return true;
    }
    // The store has executed it, so it is lexically SQL under the session's sql_mode.
    let mut readings = LexMode::QUOTINGS
        .into_iter()
        .filter_map(|mode| Lexed::new(text, mode))
        .peekable();
    readings.peek().is_none() || readings.any(|lexed| changes(&lexed))
}

/// Non-deterministic functions, which may give another value at each evaluation.
const VARYING: [&str; 8] = [
    "RAND",
    "UUID",
    "UUID_SHORT",
    "SYS_GUID",
    "RANDOM_BYTES",
    "SYSDATE",
    "NEXTVAL",
    "LASTVAL",
];

/// Whether a function of this name, in upper case, is non-deterministic.
pub(super) fn is_varying(name: &str) -> bool {
    VARYING.contains(&name)
}

/// The first non-deterministic function called in `range`.
pub(crate) fn varying(lexed: &Lexed<'_>, mut range: Range<usize>) -> Option<String> {
    range.find_map(|at| {
        let word = lexed.keyword(at)?.to_uppercase();
        let call = matches!(lexed.token(at + 1), Some(Token::LParen));
        (call && VARYING.contains(&word.as_str())).then(|| format!("{word}()"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_query_may_leave_behind_is_seen() {
        for text in [
            "SELECT k, @n := 1 FROM v",
            "SELECT k FROM v INTO @k",
            "SELECT k into/**/outfile '/tmp/k' FROM v",
            "SELECT k /*!INTO @k*/ FROM v",
            "SELECT k, NEXT VALUE FOR s FROM v",
            "SELECT k, s.NextVal FROM v",
            "SELECT k, GET_LOCK('a', 1) FROM v",
            "SELECT k, logs(k) FROM v",
            "SELECT \"'\", `logs`(k), '\"' FROM v",
            "SELECT 'open",
        ] {
            assert!(may_leave_traces(text), "{text}");
        }
        for text in [
            "SELECT k, COUNT(*) FROM v WHERE k LIKE 'into (%' GROUP BY k",
            "SELECT `into`, 'it\\'s' FROM v WHERE id IN (1, 2) FOR UPDATE;",
        ] {
            assert!(!may_leave_traces(text), "{text}");
        }
    }
}
