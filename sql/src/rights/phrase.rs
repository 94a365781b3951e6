//! A statement of few words, read token by token: the parser takes some roles' names for words of other dialects. Each
//! refusal stands at the token that is in the way.

use sqlparser::tokenizer::Token;

use crate::finding::place::Place;
use crate::names::name::fold;
use crate::rights::Role;
use crate::text::{Fragment, Lexeme};

/// Where something is wrong, what, and the way out.
pub(super) type Refused = (Place, String, String);

/// A name as it is written.
#[derive(Debug, Clone)]
pub(crate) struct Spelled {
    pub(crate) at: Place,
    pub(crate) folded: String,
    /// As the user wrote it, without quotes.
    pub(crate) written: String,
}

/// A role as it is written.
#[derive(Debug, Clone)]
pub(crate) struct SpelledRole {
    pub(crate) role: Role,
    pub(crate) name: Spelled,
}

/// The tokens of a statement that are still to be read.
pub(super) struct Phrase<'a> {
    lexemes: Vec<&'a Lexeme>,
    at: usize,
    end: Place,
    /// How such a statement is written.
    form: &'static str,
}

impl<'a> Phrase<'a> {
    pub(super) fn new(fragment: &Fragment<'a>, form: &'static str) -> Self {
        Self { lexemes: fragment.significant().collect(), at: 0, end: fragment.end(), form }
    }

    pub(super) fn next(&self) -> Option<&'a Lexeme> {
        self.lexemes.get(self.at).copied()
    }

    pub(super) fn place(&self) -> Place {
        self.next().map_or(self.end, Lexeme::place)
    }

    /// Passes over these words, if they are next.
    pub(super) fn takes(&mut self, words: &str) -> bool {
        let wanted: Vec<&str> = words.split(' ').collect();
        let found = self.lexemes.iter().skip(self.at).take(wanted.len());
        let fits = found.map(|lexeme| lexeme.keyword()).eq(wanted.iter().copied());
        self.at += if fits { wanted.len() } else { 0 };
        fits
    }

    pub(super) fn takes_token(&mut self, token: &Token) -> bool {
        let fits = self.next().is_some_and(|lexeme| lexeme.is(token));
        self.at += usize::from(fits);
        fits
    }

    pub(super) fn wants(&mut self, words: &str) -> Result<(), Refused> {
        if self.takes(words) { Ok(()) } else { Err(self.unfit(words)) }
    }

    /// What is next is not what should be.
    pub(super) fn unfit(&self, wanted: &str) -> Refused {
        let what = match self.next() {
            Some(lexeme) => format!("expected {wanted}, found `{}`", lexeme.token),
            None => format!("the statement ends where {wanted} should follow"),
        };
        (self.place(), what, self.form.to_owned())
    }

    pub(super) fn name(&mut self, what: &str) -> Result<Spelled, Refused> {
        let at = self.place();
        let Some(Token::Word(word)) = self.next().map(|lexeme| &lexeme.token.token) else {
            return Err(self.unfit(what));
        };
        self.at += 1;
        let ident = word.to_ident(sqlparser::tokenizer::Span::empty());
        Ok(Spelled { at, folded: fold(&ident), written: ident.value })
    }

    /// The name of a table or view of this file.
    pub(super) fn relation(&mut self) -> Result<Spelled, Refused> {
        let name = self.name("the name of a table or view")?;
        match self.takes_token(&Token::Period) {
            false => Ok(name),
            true => {
                let what = format!("`{}.…` names a schema", name.written);
                Err((name.at, what, "write the table's name alone".to_owned()))
            }
        }
    }

    /// `one, two, …`
    pub(super) fn list<T>(
        &mut self,
        one: impl Fn(&mut Self) -> Result<T, Refused>,
    ) -> Result<Vec<T>, Refused> {
        let mut list = vec![one(self)?];
        while self.takes_token(&Token::Comma) {
            list.push(one(self)?);
        }
        Ok(list)
    }

    /// A role's name; as in Postgres, `PUBLIC` is everyone, quoted or not.
    pub(super) fn role(&mut self) -> Result<SpelledRole, Refused> {
        let name = self.name("a role's name")?;
        let refused = match name.folded.as_str() {
            "current_user" | "current_role" | "session_user" | "user" => {
                "is the database's own user, and readers are none"
            }
            "none" | "" => "is no role's name",
            _ => {
                let role = match name.folded.as_str() {
                    "public" => Role::Public,
                    _ => Role::Named(name.folded.clone()),
                };
                return Ok(SpelledRole { role, name });
            }
        };
        let help = "name a role of the readers' tokens, or PUBLIC for everyone".to_owned();
        Err((name.at, format!("`{}` {refused}", name.written), help))
    }

    /// What stands in the parentheses that begin here, as bytes of the file.
    pub(super) fn parenthesised(&mut self) -> Result<std::ops::Range<usize>, Refused> {
        let open = self.next().filter(|lexeme| lexeme.is(&Token::LParen));
        let Some(open) = open else { return Err(self.unfit("(")) };
        let mut depth = 0usize;
        while let Some(lexeme) = self.next() {
            self.at += 1;
            match lexeme.token.token {
                Token::LParen => depth += 1,
                Token::RParen => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return Ok(open.bytes.end..lexeme.bytes.start);
            }
        }
        Err(self.unfit(")"))
    }

    pub(super) fn ends(&self) -> Result<(), Refused> {
        if self.next().is_none() { Ok(()) } else { Err(self.unfit("a semicolon")) }
    }
}
