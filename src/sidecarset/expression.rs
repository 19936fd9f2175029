//! The language of `resourcesPolicy.resourcesExpr`: arithmetic over numbers, quantities and one variable.
//!
//! ```text
//! expr   = term { ("+" | "-") term }
//! term   = factor { ("*" | "/") factor }
//! factor = NUMBER | QUANTITY | NAME | "(" expr ")" | ("max" | "min") "(" expr "," expr ")" | "-" factor
//! ```
//!
//! Results are those of the reference to the last thousandth, also where they are odd: products are cut to thousandths, and a number that
//! cannot be read (`5core`) is 0. Stored sets depend on both.

mod arithmetic;
mod lexer;

pub(super) use self::arithmetic::whole;
use self::lexer::{Lexer, Token};
use crate::base::quantity::{Quantity, QuantityError};

/// How deep parentheses, calls and signs may be nested.
const GREATEST_DEPTH: u32 = 100;

/// What an expression yields.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A plain number, also from a percentage.
    Number(f64),
    /// An amount with a unit, or the variable.
    Quantity(Quantity),
}

/// Why an expression has no value. The words are the reference's.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ExpressionError {
    /// The expression is malformed; says where reading stopped, which is behind the unexpected token.
    #[error("parse error: syntax error at line {line}, col {column}")]
    Syntax {
        /// From 1.
        line: usize,
        /// In bytes, from 1.
        column: usize,
    },
    /// Nested deeper than anyone writes by hand.
    #[error("parse error: more than {GREATEST_DEPTH} parentheses, calls and signs within each other")]
    TooDeep,
    /// A quantity that Kubernetes does not know.
    #[error(transparent)]
    Quantity(#[from] QuantityError),
    /// A name that is not the variable's.
    #[error("undefined variable: {0}")]
    UndefinedVariable(String),
    /// Neither `max` nor `min`.
    #[error("unknown function: {0}")]
    UnknownFunction(String),
    /// A function with one argument.
    #[error("{0} function requires exactly 2 arguments, got 1")]
    MissingArgument(&'static str),
    /// There is no such thing as a square byte.
    #[error("multiplication of two quantities")]
    ProductOfQuantities,
    /// Only numbers divide.
    #[error("division by quantity")]
    DivisionByQuantity,
    /// The divisor is 0.
    #[error("division by zero")]
    DivisionByZero,
    /// The final value, in the text it would have.
    #[error("calculation result is negative: {0}")]
    Negative(String),
}

/// Evaluates an expression in which the lower-case name `variable` stands for `value`; names are read in any case.
///
/// Of several errors the last one in the expression's meaning is returned, and one in its form only if there is none such, as the reference
/// does. Negative values matter in the end only.
pub fn evaluate(expression: &str, variable: &str, value: &Value) -> Result<Value, ExpressionError> {
    let mut lexer = Lexer::new(expression);
    let next = lexer.next();
    let mut evaluator = Evaluator { lexer, next, variable, value, depth: 0, error: None };
    let result = evaluator.expression().and_then(|result| evaluator.expect(Token::End).map(|()| result));
    match (evaluator.error, result) {
        (Some(error), _) | (None, Err(error)) => Err(error),
        // Never so: whatever leaves no value takes note of why.
        (None, Ok(None)) => Err(ExpressionError::Syntax { line: 1, column: 1 }),
        (None, Ok(Some(result))) if result.is_negative() => Err(ExpressionError::Negative(result.to_string())),
        (None, Ok(Some(result))) => Ok(result),
    }
}

/// A value, nothing where its meaning was in error, or an error of form, which ends the reading.
type Outcome = Result<Option<Value>, ExpressionError>;

/// Reads and computes at once, so that errors come in the order in which the reference meets them.
struct Evaluator<'a> {
    lexer: Lexer<'a>,
    next: Token<'a>,
    variable: &'a str,
    value: &'a Value,
    depth: u32,
    /// The last error of meaning.
    error: Option<ExpressionError>,
}

impl Evaluator<'_> {
    fn expression(&mut self) -> Outcome {
        let mut left = self.term()?;
        loop {
            let operation = match self.next {
                Token::Character(b'+') => Value::plus,
                Token::Character(b'-') => Value::minus,
                _ => return Ok(left),
            };
            self.advance();
            let right = self.term()?;
            left = left.zip(right).map(|(left, right)| operation(&left, &right));
        }
    }

    fn term(&mut self) -> Outcome {
        let mut left = self.factor()?;
        loop {
            let operation = match self.next {
                Token::Character(b'*') => Value::times,
                Token::Character(b'/') => Value::over,
                _ => return Ok(left),
            };
            self.advance();
            let right = self.factor()?;
            left = left.zip(right).and_then(|(left, right)| self.noted(operation(&left, &right)));
        }
    }

    fn factor(&mut self) -> Outcome {
        let mut signs = 0_usize;
        while self.next == Token::Character(b'-') {
            self.advance();
            signs = signs.saturating_add(1);
        }
        let value = self.unsigned()?;
        Ok(match signs {
            0 => value,
            count if count % 2 == 1 => value.map(|value| value.negated()),
            // Two signs cancel each other out, but the quantity's spelling is gone.
            _ => value.map(|value| value.negated().negated()),
        })
    }

    fn unsigned(&mut self) -> Outcome {
        match self.next {
            Token::Number(text) => {
                self.advance();
                Ok(Some(Value::Number(number(text))))
            }
            Token::Quantity(text) => {
                self.advance();
                let read = Quantity::parse(&String::from_utf8_lossy(text));
                Ok(self.noted(read.map(Value::Quantity).map_err(ExpressionError::from)))
            }
            Token::Name(name) => {
                self.advance();
                if self.next == Token::Character(b'(') { self.call(name) } else { Ok(self.variable(name)) }
            }
            Token::Character(b'(') => {
                let value = self.nested()?;
                self.expect(Token::Character(b')'))?;
                Ok(value)
            }
            Token::Character(_) | Token::End => Err(self.lexer.unexpected()),
        }
    }

    /// What follows the name of a function.
    fn call(&mut self, name: &[u8]) -> Outcome {
        let first = self.nested()?;
        let second = if self.next == Token::Character(b',') { Some(self.nested()?) } else { None };
        self.expect(Token::Character(b')'))?;
        let name = String::from_utf8_lossy(name);
        let (function, choose): (_, fn(&Value, &Value) -> Value) = match name.to_lowercase().as_str() {
            "max" => ("max", Value::greater),
            "min" => ("min", Value::lesser),
            _ => return Ok(self.noted(Err(ExpressionError::UnknownFunction(name.into_owned())))),
        };
        let Some(second) = second else { return Ok(self.noted(Err(ExpressionError::MissingArgument(function)))) };
        Ok(first.zip(second).map(|(first, second)| choose(&first, &second)))
    }

    /// The expression behind a parenthesis or a comma, which is the next token.
    fn nested(&mut self) -> Outcome {
        if self.depth >= GREATEST_DEPTH {
            return Err(ExpressionError::TooDeep);
        }
        self.advance();
        self.depth = self.depth.saturating_add(1);
        let value = self.expression();
        self.depth = self.depth.saturating_sub(1);
        value
    }

    fn variable(&mut self, name: &[u8]) -> Option<Value> {
        let name = String::from_utf8_lossy(name).to_lowercase();
        let found = if name == self.variable { Ok(self.value.clone()) } else { Err(ExpressionError::UndefinedVariable(name)) };
        self.noted(found)
    }

    /// Takes note of an error of meaning, after which reading goes on.
    fn noted(&mut self, result: Result<Value, ExpressionError>) -> Option<Value> {
        result.map_err(|error| self.error = Some(error)).ok()
    }

    fn expect(&mut self, token: Token<'_>) -> Result<(), ExpressionError> {
        if self.next != token {
            return Err(self.lexer.unexpected());
        }
        self.advance();
        Ok(())
    }

    fn advance(&mut self) {
        self.next = self.lexer.next();
    }
}

/// The value of a number; 0 if it cannot be read.
fn number(text: &[u8]) -> f64 {
    readable(text).unwrap_or_default()
}

/// The value of a number that can be read. One too great is infinite, except as a percentage: there it counts as unreadable.
fn readable(text: &[u8]) -> Option<f64> {
    let text = String::from_utf8_lossy(text);
    match text.strip_suffix('%') {
        Some(percentage) => percentage.parse().ok().filter(|number: &f64| number.is_finite()).map(|number| number / 100.0),
        None => text.parse().ok(),
    }
}

/// What stands in an expression like a number but cannot be read as one, so that it counts as 0: `5core`, `1Zi`.
pub fn unreadable_numbers(expression: &str) -> Vec<String> {
    let mut lexer = Lexer::new(expression);
    let mut found = Vec::new();
    loop {
        match lexer.next() {
            Token::End => return found,
            Token::Number(text) if readable(text).is_none() => found.push(String::from_utf8_lossy(text).into_owned()),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
