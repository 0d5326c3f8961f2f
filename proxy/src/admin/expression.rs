//! Expressions of SELECT and of WHERE: grammar and values.
//!
//! ```text
//! or := and ((OR | ||) and)*             and := not ((AND | &&) not)*
//! not := NOT not | comparison            comparison := sum (operator sum | IS [NOT] v
//!   | [NOT] LIKE sum | [NOT] IN (e, ...) | [NOT] BETWEEN sum AND sum)*
//! sum := term ((+ | -) term)*            term := unary ((* | / | %) unary)*
//! unary := (- | + | !) unary | literal | ? | @v | @@[scope.]v | [t.]column | f(e, ...) | (e)
//! ```

use super::cursor::Cursor;
use super::facts::Facts;
use super::functions;
use super::lexer::Token;
use super::refusal::Refusal;
use super::value::Value;
use super::variables;
use std::cmp::Ordering;

/// Maximum nesting of parentheses and signs.
const DEPTH_MAX: usize = 50;

/// An expression.
#[derive(Debug, Clone, PartialEq)]
pub enum Expression {
    /// A literal, or a user variable: always NULL, since SET has no effect here.
    Literal(Value),
    /// `?`
    Parameter(usize),
    /// `@@name`
    Variable(String),
    /// A column of a list.
    Column(String),
    /// A function.
    Call(String, Vec<Expression>),
    /// An operator and its operands.
    Operator(Operator, Vec<Expression>),
}

/// An operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    Or,
    And,
    Not,
    Equal,
    NullSafeEqual,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Like,
    In,
    Between,
    IsNull,
    IsTrue,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Negate,
}

use Operator as O;

/// Comparisons by their symbols.
const COMPARISONS: [(&str, Operator); 8] = [
    ("<=>", O::NullSafeEqual),
    ("=", O::Equal),
    ("<>", O::NotEqual),
    ("!=", O::NotEqual),
    ("<=", O::LessOrEqual),
    (">=", O::GreaterOrEqual),
    ("<", O::Less),
    (">", O::Greater),
];
const SUMS: [(&str, Operator); 2] = [("+", O::Add), ("-", O::Subtract)];
const TERMS: [(&str, Operator); 3] = [("*", O::Multiply), ("/", O::Divide), ("%", O::Remainder)];

/// Reads an expression.
pub fn parse(cursor: &mut Cursor<'_>) -> Result<Expression, Refusal> {
    or(cursor, DEPTH_MAX)
}

type Parsed = Result<Expression, Refusal>;

fn binary(operator: Operator, left: Expression, right: Expression) -> Expression {
    Expression::Operator(operator, vec![left, right])
}

fn or(cursor: &mut Cursor<'_>, depth: usize) -> Parsed {
    let mut left = and(cursor, depth)?;
    while cursor.take_word("OR") || cursor.take_symbol("||") {
        left = binary(O::Or, left, and(cursor, depth)?);
    }
    Ok(left)
}

fn and(cursor: &mut Cursor<'_>, depth: usize) -> Parsed {
    let mut left = not(cursor, depth)?;
    while cursor.take_word("AND") || cursor.take_symbol("&&") {
        left = binary(O::And, left, not(cursor, depth)?);
    }
    Ok(left)
}

fn not(cursor: &mut Cursor<'_>, depth: usize) -> Parsed {
    if !cursor.take_word("NOT") {
        return comparison(cursor, depth);
    }
    let depth = deeper(cursor, depth)?;
    Ok(Expression::Operator(O::Not, vec![not(cursor, depth)?]))
}

fn deeper(cursor: &Cursor<'_>, depth: usize) -> Result<usize, Refusal> {
    depth.checked_sub(1).ok_or_else(|| cursor.syntax())
}

fn negated(is: bool, expression: Expression) -> Expression {
    match is {
        true => Expression::Operator(O::Not, vec![expression]),
        false => expression,
    }
}

fn comparison(cursor: &mut Cursor<'_>, depth: usize) -> Parsed {
    let mut left = sum(cursor, depth)?;
    loop {
        if let Some(operator) = take_operator(cursor, &COMPARISONS) {
            left = binary(operator, left, sum(cursor, depth)?);
            continue;
        }
        if cursor.take_word("IS") {
            let not = cursor.take_word("NOT");
            let (operator, inverse) = match () {
                () if cursor.take_word("NULL") => (O::IsNull, false),
                () if cursor.take_word("TRUE") => (O::IsTrue, false),
                () if cursor.take_word("FALSE") => (O::IsTrue, true),
                () => return Err(cursor.syntax()),
            };
            left = negated(inverse, left);
            left = negated(not, Expression::Operator(operator, vec![left]));
            continue;
        }
        let not = cursor.at_words(&["NOT"]);
        let ahead = usize::from(not);
        let operator = match cursor.peek_at(ahead) {
            Some(Token::Word(word)) => match word.to_ascii_uppercase().as_str() {
                "LIKE" => O::Like,
                "IN" => O::In,
                "BETWEEN" => O::Between,
                _ => return Ok(left),
            },
            _ => return Ok(left),
        };
        for _ in 0..=ahead {
            cursor.next();
        }
        let mut operands = vec![left];
        match operator {
            O::In => {
                cursor.expect_symbol("(")?;
                operands.extend(list(cursor, depth)?);
            }
            O::Between => {
                operands.push(sum(cursor, depth)?);
                if !cursor.take_word("AND") {
                    return Err(cursor.syntax());
                }
                operands.push(sum(cursor, depth)?);
            }
            _ => operands.push(sum(cursor, depth)?),
        }
        left = negated(not, Expression::Operator(operator, operands));
    }
}

/// Expressions between commas, to the closing parenthesis.
fn list(cursor: &mut Cursor<'_>, depth: usize) -> Result<Vec<Expression>, Refusal> {
    let depth = deeper(cursor, depth)?;
    let mut expressions = vec![or(cursor, depth)?];
    while cursor.take_symbol(",") {
        expressions.push(or(cursor, depth)?);
    }
    cursor.expect_symbol(")")?;
    Ok(expressions)
}

fn take_operator(cursor: &mut Cursor<'_>, operators: &[(&str, Operator)]) -> Option<Operator> {
    let mut operators = operators.iter();
    let found = operators.find(|(symbol, _)| cursor.take_symbol(symbol))?;
    Some(found.1)
}

fn sum(cursor: &mut Cursor<'_>, depth: usize) -> Parsed {
    let mut left = term(cursor, depth)?;
    while let Some(operator) = take_operator(cursor, &SUMS) {
        left = binary(operator, left, term(cursor, depth)?);
    }
    Ok(left)
}

fn term(cursor: &mut Cursor<'_>, depth: usize) -> Parsed {
    let mut left = unary(cursor, depth)?;
    while let Some(operator) = take_operator(cursor, &TERMS) {
        left = binary(operator, left, unary(cursor, depth)?);
    }
    Ok(left)
}

fn unary(cursor: &mut Cursor<'_>, depth: usize) -> Parsed {
    for (sign, operator) in [("-", Some(O::Negate)), ("!", Some(O::Not)), ("+", None)] {
        if cursor.take_symbol(sign) {
            let operand = unary(cursor, deeper(cursor, depth)?)?;
            return Ok(match operator {
                Some(operator) => Expression::Operator(operator, vec![operand]),
                None => operand,
            });
        }
    }
    primary(cursor, depth)
}

fn primary(cursor: &mut Cursor<'_>, depth: usize) -> Parsed {
    if let Some(number) = cursor.parameter() {
        return Ok(Expression::Parameter(number));
    }
    if cursor.take_symbol("(") {
        let mut inside = list(cursor, depth)?;
        let one = inside.pop().filter(|_| inside.is_empty());
        return one.ok_or_else(|| cursor.syntax());
    }
    if cursor.take_symbol("@@") {
        return system_variable(cursor);
    }
    let token = cursor.peek().ok_or_else(|| cursor.syntax())?;
    let literal = match token {
        Token::Number(number) => numeric(number).ok_or_else(|| cursor.syntax())?,
        Token::Text(text) => Value::text(text),
        Token::UserVariable => Value::Null,
        Token::Word(word) if word.starts_with('_') || word.eq_ignore_ascii_case("N") => {
            // A character set in front of its text.
            let Some(Token::Text(text)) = cursor.peek_at(1) else {
                return named(cursor, depth);
            };
            cursor.next();
            Value::text(text)
        }
        Token::Word(word) => match word.to_ascii_uppercase().as_str() {
            "NULL" => Value::Null,
            "TRUE" => Value::Int(1),
            "FALSE" => Value::Int(0),
            _ => return named(cursor, depth),
        },
        Token::Quoted(_) => return named(cursor, depth),
        Token::Symbol(_) => return Err(cursor.syntax()),
    };
    cursor.next();
    Ok(Expression::Literal(literal))
}

fn numeric(number: &str) -> Option<Value> {
    let hex = number
        .strip_prefix("0x")
        .map(|digits| i128::from_str_radix(digits, 16));
    if let Some(hex) = hex {
        return hex.ok().map(Value::Int);
    }
    match number.parse() {
        Ok(int) => Some(Value::Int(int)),
        Err(_) => number.parse().ok().map(Value::Real),
    }
}

/// `[scope.]name` after `@@`; the scope does not matter here.
fn system_variable(cursor: &mut Cursor<'_>) -> Parsed {
    let first = cursor.name().ok_or_else(|| cursor.syntax())?;
    let mut name = first;
    if cursor.take_symbol(".") {
        name = cursor.name().ok_or_else(|| cursor.syntax())?;
        let scopes = ["session", "global", "local", "persist"];
        if !scopes.iter().any(|scope| scope.eq_ignore_ascii_case(first)) {
            return Err(Refusal::unknown_variable(&format!("{first}.{name}")));
        }
    }
    Ok(Expression::Variable(name.to_lowercase()))
}

/// A function, or a column of a list, which may have its table's name in front.
fn named(cursor: &mut Cursor<'_>, depth: usize) -> Parsed {
    let bare = matches!(cursor.peek(), Some(Token::Word(_)));
    let mut name = cursor.name().ok_or_else(|| cursor.syntax())?;
    while cursor.take_symbol(".") {
        name = cursor.name().ok_or_else(|| cursor.syntax())?;
    }
    if cursor.take_symbol("(") {
        let arguments = arguments(cursor, depth)?;
        return Ok(Expression::Call(name.to_uppercase(), arguments));
    }
    if bare && functions::needs_no_parentheses(name) {
        return Ok(Expression::Call(name.to_uppercase(), Vec::new()));
    }
    Ok(Expression::Column(name.to_owned()))
}

/// To the closing parenthesis; `CAST(e AS type)` and `CONVERT(e, type)` leave the type out.
fn arguments(cursor: &mut Cursor<'_>, depth: usize) -> Result<Vec<Expression>, Refusal> {
    if cursor.take_symbol(")") {
        return Ok(Vec::new());
    }
    let depth = deeper(cursor, depth)?;
    let mut arguments = vec![or(cursor, depth)?];
    loop {
        if cursor.take_symbol(")") {
            return Ok(arguments);
        }
        if cursor.take_one_of(&["AS", "USING"]) {
            cursor.name().ok_or_else(|| cursor.syntax())?;
            if cursor.take_symbol("(") {
                list(cursor, depth)?;
            }
            while cursor.name().is_some() {}
        } else {
            cursor.expect_symbol(",")?;
            arguments.push(or(cursor, depth)?);
        }
    }
}

/// What the values of an expression come from.
#[derive(Clone, Copy)]
pub struct Scope<'s> {
    /// The session.
    pub facts: &'s Facts,
    /// Values of parameters; those that are missing are NULL.
    pub parameters: &'s [Value],
    /// Columns of a row, with their names.
    pub row: &'s [(&'s str, Value)],
}

impl Expression {
    /// The value.
    ///
    /// # Errors
    /// Names that are not known.
    pub fn value(&self, scope: Scope<'_>) -> Result<Value, Refusal> {
        match self {
            Self::Literal(value) => Ok(value.clone()),
            Self::Parameter(number) => {
                let bound = scope.parameters.get(*number);
                Ok(bound.cloned().unwrap_or(Value::Null))
            }
            Self::Variable(name) => variables::selected(name, scope.facts)
                .ok_or_else(|| Refusal::unknown_variable(name)),
            Self::Column(name) => {
                let mut row = scope.row.iter();
                let found = row.find(|(column, _)| column.eq_ignore_ascii_case(name));
                let value = found.map(|(_, value)| value.clone());
                value.ok_or_else(|| Refusal::unknown_column(name))
            }
            Self::Call(name, arguments) => {
                let arguments = values(arguments, scope)?;
                functions::call(name, &arguments, scope.facts)
            }
            Self::Operator(operator, operands) => Ok(operator
                .apply(&values(operands, scope)?)
                .unwrap_or(Value::Null)),
        }
    }
}

fn values(expressions: &[Expression], scope: Scope<'_>) -> Result<Vec<Value>, Refusal> {
    let values = expressions.iter().map(|expression| expression.value(scope));
    values.collect()
}

impl Operator {
    /// The value for operands as the grammar has them; `None` for NULL.
    fn apply(self, operands: &[Value]) -> Option<Value> {
        let (left, rest) = operands.split_first()?;
        let right = rest.first().unwrap_or(&Value::Null);
        let compared = |holds: fn(Ordering) -> bool| left.compare(right).map(holds);
        let holds = match self {
            O::Or => either(left.is_true(), right.is_true(), true)?,
            O::And => either(left.is_true(), right.is_true(), false)?,
            O::Not => !left.is_true()?,
            O::Equal => compared(Ordering::is_eq)?,
            O::NotEqual => compared(Ordering::is_ne)?,
            O::Less => compared(Ordering::is_lt)?,
            O::LessOrEqual => compared(Ordering::is_le)?,
            O::Greater => compared(Ordering::is_gt)?,
            O::GreaterOrEqual => compared(Ordering::is_ge)?,
            O::NullSafeEqual => match (left, right) {
                (Value::Null, Value::Null) => true,
                _ => compared(Ordering::is_eq).unwrap_or(false),
            },
            O::Like => left.is_like(right)?,
            O::In => is_in(left, rest)?,
            O::Between => {
                let above = left.compare(right)?.is_ge();
                above && left.compare(rest.get(1)?)?.is_le()
            }
            O::IsNull => *left == Value::Null,
            O::IsTrue => left.is_true().unwrap_or(false),
            O::Add | O::Subtract | O::Multiply | O::Divide | O::Remainder | O::Negate => {
                return self.arithmetic(left, right);
            }
        };
        Some(Value::truth(holds))
    }

    fn arithmetic(self, left: &Value, right: &Value) -> Option<Value> {
        if self == O::Negate {
            return match left {
                Value::Int(int) => int.checked_neg().map(Value::Int),
                other => Some(Value::Real(-other.number()?)),
            };
        }
        if let (Value::Int(a), Value::Int(b)) = (left, right) {
            let exact = match self {
                O::Add => a.checked_add(*b),
                O::Subtract => a.checked_sub(*b),
                O::Multiply => a.checked_mul(*b),
                O::Remainder => return a.checked_rem(*b).map(Value::Int),
                _ => None,
            };
            if let Some(int) = exact {
                return Some(Value::Int(int));
            }
        }
        let (a, b) = (left.number()?, right.number()?);
        let number = match self {
            O::Add => a + b,
            O::Subtract => a - b,
            O::Multiply => a * b,
            O::Remainder => a % b,
            _ => a / b,
        };
        number.is_finite().then_some(Value::Real(number))
    }
}

/// OR (`decisive` true) and AND (`decisive` false) with NULL.
fn either(left: Option<bool>, right: Option<bool>, decisive: bool) -> Option<bool> {
    if left == Some(decisive) || right == Some(decisive) {
        return Some(decisive);
    }
    (left.is_some() && right.is_some()).then_some(!decisive)
}

fn is_in(value: &Value, list: &[Value]) -> Option<bool> {
    let mut unknown = false;
    for candidate in list {
        match value.compare(candidate) {
            Some(Ordering::Equal) => return Some(true),
            Some(_) => {}
            None => unknown = true,
        }
    }
    (!unknown).then_some(false)
}
