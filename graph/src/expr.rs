//! Integer and number expressions of graph files, such as `"T*H*W/4"` or `"max(layers, 1)"`.
//!
//! ```text
//! expr  = sum [ ("==" | "!=" | "<=" | ">=" | "<" | ">") sum ]
//! sum   = term { ("+" | "-") term }
//! term  = unary { ("*" | "/" | "%") unary }
//! unary = "-" unary | atom
//! atom  = number | name | name "(" expr { "," expr } ")" | "(" expr ")"
//! ```
//! Between integers `/` rounds towards minus infinity and `%` takes the sign of the divisor; a float
//! operand makes either a float. A comparison is 1 or 0. Functions: `min`, `max`, `ceil_div`, `sqrt`.
//! Every integer operation is checked for overflow.

use std::fmt;

/// A number of an expression.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// An integer.
    Int(i64),
    /// A real number.
    Float(f64),
}

impl Number {
    /// The number as a float; a large integer rounds.
    pub fn as_f64(self) -> f64 {
        match self {
            Number::Int(v) => v as f64,
            Number::Float(v) => v,
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Number::Int(v) => write!(f, "{v}"),
            Number::Float(v) => write!(f, "{v:?}"),
        }
    }
}

/// What is wrong with an expression.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ExprError {
    /// It does not follow the grammar.
    #[error("`{text}`: {reason} at column {column}")]
    Syntax {
        /// The expression.
        text: String,
        /// What was expected or found.
        reason: String,
        /// The place, from 1.
        column: usize,
    },
    /// A name is not a parameter, symbol or index in scope.
    #[error("unknown name `{name}`; known here: {known}")]
    UnknownName {
        /// The name.
        name: String,
        /// The names in scope.
        known: String,
    },
    /// An operation has no result: overflow, division by zero.
    #[error("`{text}`: {reason}")]
    Arithmetic {
        /// The expression.
        text: String,
        /// Why.
        reason: String,
    },
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum BinOp {
    Add,
    Sub,
    Mul,
    Div,
    Rem,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Function {
    Min,
    Max,
    CeilDiv,
    Sqrt,
}

#[derive(Clone, Debug, PartialEq)]
enum Tree {
    Number(Number),
    Name(String),
    Negate(Box<Tree>),
    Binary(BinOp, Box<Tree>, Box<Tree>),
    Call(Function, Vec<Tree>),
}

/// A parsed expression, with the text it came from.
#[derive(Clone, Debug)]
pub struct Expr {
    text: String,
    tree: Tree,
}

impl PartialEq for Expr {
    fn eq(&self, other: &Self) -> bool {
        self.tree == other.tree
    }
}

/// Longer expressions are refused: the parser recurses, and no honest one comes near.
const MAX_BYTES: usize = 256;
const MAX_DEPTH: usize = 32;

impl Expr {
    /// Parses an expression.
    ///
    /// # Errors
    /// [`ExprError::Syntax`].
    pub fn parse(text: &str) -> Result<Self, ExprError> {
        let mut parser = Parser { text, at: 0, depth: 0 };
        if text.len() > MAX_BYTES {
            return Err(parser.error(format!("longer than {MAX_BYTES} bytes")));
        }
        let tree = parser.comparison()?;
        parser.skip_space();
        if parser.at < text.len() {
            return Err(parser.error("expected an operator or the end"));
        }
        Ok(Self { text: text.to_owned(), tree })
    }

    /// The expression that is just this integer.
    pub fn int(v: i64) -> Self {
        Self { text: v.to_string(), tree: Tree::Number(Number::Int(v)) }
    }

    /// The expression that is just this number.
    pub fn number(v: Number) -> Self {
        Self { text: v.to_string(), tree: Tree::Number(v) }
    }

    /// The literal, when the expression is just a number.
    pub fn literal(&self) -> Option<Number> {
        match self.tree {
            Tree::Number(v) => Some(v),
            _ => None,
        }
    }

    /// The names that it uses, each as often as it does.
    pub(crate) fn names(&self) -> Vec<&str> {
        let mut names = Vec::new();
        self.tree.names(&mut names);
        names
    }

    /// The text that it was parsed from.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The value, with names looked up by `lookup`, which answers an unknown name with an error.
    ///
    /// # Errors
    /// Those of `lookup`, and [`ExprError::Arithmetic`].
    pub fn eval(&self, lookup: &dyn Fn(&str) -> Result<Number, ExprError>) -> Result<Number, ExprError> {
        self.tree.eval(lookup).map_err(|e| match e {
            Fault::Lookup(e) => e,
            Fault::Arithmetic(reason) => ExprError::Arithmetic { text: self.text.clone(), reason },
        })
    }
}

enum Fault {
    Lookup(ExprError),
    Arithmetic(String),
}

impl Tree {
    fn names<'a>(&'a self, out: &mut Vec<&'a str>) {
        match self {
            Tree::Number(_) => {}
            Tree::Name(name) => out.push(name),
            Tree::Negate(inner) => inner.names(out),
            Tree::Binary(_, a, b) => [a, b].into_iter().for_each(|t| t.names(out)),
            Tree::Call(_, args) => args.iter().for_each(|t| t.names(out)),
        }
    }

    fn eval(&self, lookup: &dyn Fn(&str) -> Result<Number, ExprError>) -> Result<Number, Fault> {
        match self {
            Tree::Number(v) => Ok(*v),
            Tree::Name(name) => lookup(name).map_err(Fault::Lookup),
            Tree::Negate(inner) => match inner.eval(lookup)? {
                Number::Int(v) => v.checked_neg().map(Number::Int).ok_or_else(overflow),
                Number::Float(v) => Ok(Number::Float(-v)),
            },
            Tree::Binary(op, a, b) => binary(*op, a.eval(lookup)?, b.eval(lookup)?),
            Tree::Call(function, args) => {
                let args = args.iter().map(|a| a.eval(lookup)).collect::<Result<Vec<_>, _>>()?;
                call(*function, &args)
            }
        }
    }
}

fn overflow() -> Fault {
    Fault::Arithmetic("the result does not fit into 64 bits".into())
}

fn binary(op: BinOp, a: Number, b: Number) -> Result<Number, Fault> {
    match (a, b) {
        (Number::Int(a), Number::Int(b)) => int_binary(op, a, b),
        _ => Ok(float_binary(op, a.as_f64(), b.as_f64())),
    }
}

fn int_binary(op: BinOp, a: i64, b: i64) -> Result<Number, Fault> {
    let result = match op {
        BinOp::Add => a.checked_add(b),
        BinOp::Sub => a.checked_sub(b),
        BinOp::Mul => a.checked_mul(b),
        BinOp::Div | BinOp::Rem if b == 0 => return Err(Fault::Arithmetic("division by zero".into())),
        BinOp::Div => a.checked_div_euclid(b).map(|_| floor_div(a, b)),
        BinOp::Rem => a.checked_rem(b).map(|r| if r != 0 && (r < 0) != (b < 0) { r + b } else { r }),
        _ => return Ok(compare(op, a.partial_cmp(&b))),
    };
    result.map(Number::Int).ok_or_else(overflow)
}

/// Division towards minus infinity; the caller has excluded zero and overflow.
fn floor_div(a: i64, b: i64) -> i64 {
    let q = a / b;
    if a % b != 0 && (a < 0) != (b < 0) { q - 1 } else { q }
}

fn float_binary(op: BinOp, a: f64, b: f64) -> Number {
    Number::Float(match op {
        BinOp::Add => a + b,
        BinOp::Sub => a - b,
        BinOp::Mul => a * b,
        BinOp::Div => a / b,
        BinOp::Rem => a - (a / b).floor() * b,
        _ => return compare(op, a.partial_cmp(&b)),
    })
}

fn compare(op: BinOp, order: Option<std::cmp::Ordering>) -> Number {
    let holds = match op {
        BinOp::Eq => order.is_some_and(|o| o.is_eq()),
        BinOp::Ne => order.is_none_or(|o| o.is_ne()),
        BinOp::Lt => order.is_some_and(|o| o.is_lt()),
        BinOp::Le => order.is_some_and(|o| o.is_le()),
        BinOp::Gt => order.is_some_and(|o| o.is_gt()),
        _ => order.is_some_and(|o| o.is_ge()),
    };
    Number::Int(i64::from(holds))
}

fn call(function: Function, args: &[Number]) -> Result<Number, Fault> {
    match (function, args) {
        (Function::Sqrt, [x]) => Ok(Number::Float(x.as_f64().sqrt())),
        (Function::CeilDiv, [Number::Int(a), Number::Int(b)]) => {
            let negated = a.checked_neg().ok_or_else(overflow)?;
            match int_binary(BinOp::Div, negated, *b)? {
                Number::Int(q) => q.checked_neg().map(Number::Int).ok_or_else(overflow),
                float => Ok(float),
            }
        }
        (Function::Min | Function::Max, [first, rest @ ..]) => {
            let op = if function == Function::Min { BinOp::Lt } else { BinOp::Gt };
            rest.iter().try_fold(*first, |best, &x| {
                Ok(if binary(op, x, best)? == Number::Int(1) { x } else { best })
            })
        }
        _ => Err(Fault::Arithmetic(
            "wrong arguments: min(a, ...), max(a, ...), ceil_div(a, b) of integers, sqrt(a)".into(),
        )),
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl Parser<'_> {
    fn error(&self, reason: impl Into<String>) -> ExprError {
        let text: String = self.text.chars().take(80).collect();
        ExprError::Syntax { text, reason: reason.into(), column: self.at + 1 }
    }

    fn skip_space(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or("")
    }

    /// Takes the first of these tokens that comes next.
    fn take<T: Copy>(&mut self, tokens: &[(&str, T)]) -> Option<T> {
        self.skip_space();
        let (token, value) = tokens.iter().find(|(token, _)| self.rest().starts_with(token))?;
        self.at += token.len();
        Some(*value)
    }

    fn comparison(&mut self) -> Result<Tree, ExprError> {
        let left = self.sum()?;
        let ops = [
            ("==", BinOp::Eq),
            ("!=", BinOp::Ne),
            ("<=", BinOp::Le),
            (">=", BinOp::Ge),
            ("<", BinOp::Lt),
            (">", BinOp::Gt),
        ];
        match self.take(&ops) {
            Some(op) => Ok(Tree::Binary(op, Box::new(left), Box::new(self.sum()?))),
            None => Ok(left),
        }
    }

    fn sum(&mut self) -> Result<Tree, ExprError> {
        let mut left = self.term()?;
        while let Some(op) = self.take(&[("+", BinOp::Add), ("-", BinOp::Sub)]) {
            left = Tree::Binary(op, Box::new(left), Box::new(self.term()?));
        }
        Ok(left)
    }

    fn term(&mut self) -> Result<Tree, ExprError> {
        let mut left = self.unary()?;
        while let Some(op) = self.take(&[("*", BinOp::Mul), ("/", BinOp::Div), ("%", BinOp::Rem)]) {
            left = Tree::Binary(op, Box::new(left), Box::new(self.unary()?));
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Tree, ExprError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.error(format!("nested deeper than {MAX_DEPTH}")));
        }
        let tree = match self.take(&[("-", ())]) {
            Some(()) => Tree::Negate(Box::new(self.unary()?)),
            None => self.atom()?,
        };
        self.depth -= 1;
        Ok(tree)
    }

    fn atom(&mut self) -> Result<Tree, ExprError> {
        if self.take(&[("(", ())]).is_some() {
            let inner = self.comparison()?;
            return self.close().map(|()| inner);
        }
        self.skip_space();
        match self.rest().chars().next() {
            Some(c) if c.is_ascii_digit() => self.number(),
            Some(c) if c.is_ascii_alphabetic() || c == '_' => self.name(),
            Some(c) => Err(self.error(format!("expected a number or a name, found `{c}`"))),
            None => Err(self.error("expected a number or a name, found the end")),
        }
    }

    fn close(&mut self) -> Result<(), ExprError> {
        self.take(&[(")", ())]).ok_or_else(|| self.error("expected `)`"))
    }

    fn number(&mut self) -> Result<Tree, ExprError> {
        let end = self
            .rest()
            .find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '_'))
            .unwrap_or(self.rest().len());
        let digits: String = self.rest()[..end].chars().filter(|&c| c != '_').collect();
        let number = if digits.contains('.') {
            digits.parse().map(Number::Float).map_err(|_| self.error("not a number"))?
        } else {
            digits.parse().map(Number::Int).map_err(|_| self.error("the number does not fit into 64 bits"))?
        };
        self.at += end;
        Ok(Tree::Number(number))
    }

    fn name(&mut self) -> Result<Tree, ExprError> {
        let end =
            self.rest().find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(self.rest().len());
        let name = self.rest()[..end].to_owned();
        self.at += end;
        if self.take(&[("(", ())]).is_none() {
            return Ok(Tree::Name(name));
        }
        let function = match name.as_str() {
            "min" => Function::Min,
            "max" => Function::Max,
            "ceil_div" => Function::CeilDiv,
            "sqrt" => Function::Sqrt,
            _ => {
                return Err(
                    self.error(format!("unknown function `{name}`; there are min, max, ceil_div, sqrt"))
                );
            }
        };
        let mut args = vec![self.comparison()?];
        while self.take(&[(",", ())]).is_some() {
            args.push(self.comparison()?);
        }
        self.close().map(|()| Tree::Call(function, args))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn eval(text: &str) -> Result<Number, ExprError> {
        Expr::parse(text)?.eval(&|name| match name {
            "T" => Ok(Number::Int(7)),
            "eps" => Ok(Number::Float(0.5)),
            _ => Err(ExprError::UnknownName { name: name.into(), known: "T, eps".into() }),
        })
    }

    #[test]
    fn evaluates() {
        for (text, want) in [
            ("1 + 2*3", 7),
            ("(1+2)*3", 9),
            ("-T + 1", -6),
            ("T/2", 3),
            ("-T/2", -4),
            ("-T % 2", 1),
            ("ceil_div(T, 2)", 4),
            ("min(T, 3, 9) + max(1, T)", 10),
            ("T == 7", 1),
            ("T*2 <= 13", 0),
            ("1_000", 1000),
        ] {
            assert_eq!(eval(text), Ok(Number::Int(want)), "{text}");
        }
        assert_eq!(eval("1/sqrt(64)"), Ok(Number::Float(0.125)));
        assert_eq!(eval("eps*T"), Ok(Number::Float(3.5)));
    }

    #[test]
    fn refuses() {
        for text in [
            "",
            "1 +",
            "(1",
            "1)",
            "a b",
            "f(1)",
            "1/0",
            "9223372036854775807+1",
            "99999999999999999999",
            "U",
            "é",
        ] {
            assert!(eval(text).is_err(), "{text}");
        }
        assert!(eval(&"(".repeat(200)).is_err());
        assert!(eval(&"-".repeat(200)).is_err());
        assert!(eval(&"1+".repeat(500)).is_err());
        assert!(eval("(-9223372036854775807-1)/(-1)").is_err());
        assert_eq!(eval("(-9223372036854775807-1) % 3"), Ok(Number::Int(1)));
        assert_eq!(eval("9223372036854775807 % -3"), Ok(Number::Int(-2)));
        assert!(eval("(-9223372036854775807-1)%(-1)").is_err());
    }
}
