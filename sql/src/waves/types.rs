//! Types, as far as equality goes: whether equal values have equal bytes, and how Postgres is asked where they do not.
//! A type that is not known here has no keys.

/// What is known of types. Implemented by whoever knows the contracts and, where there is one, the database.
pub trait Types {
    /// The SQL type of a column of an event relation, its metadata included; `None`: it has no such column.
    fn event(&self, context: &str, event: &str, column: &str) -> Option<String>;
    /// What the database says of a table's column; `None`: there is no database to ask, so the declaration counts.
    fn table(&self, table: &str, column: &str) -> Option<StoredType>;
}

/// A column's type as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredType {
    /// As SQL or `format_type` writes it: `int4`, `integer`, `numeric(12,2)`, `timestamp with time zone` …
    pub sql: String,
    /// Whether the column's collation, if it has one, tells all texts apart that differ in their bytes.
    pub deterministic: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Bool,
    Int2,
    Int4,
    Int8,
    Numeric,
    Float4,
    Float8,
    Text,
    Varchar,
    Char,
    Uuid,
    Bytea,
    Date,
    Time,
    Timetz,
    Timestamp,
    Timestamptz,
    Interval,
    Jsonb,
}

use Kind::*;

/// A type and its modifier, such as the `12,2` of a numeric.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SqlType {
    pub(crate) kind: Kind,
    pub(crate) modifier: Option<String>,
    /// As it was written.
    pub(crate) sql: String,
}

impl SqlType {
    pub(crate) fn read(sql: &str) -> Option<Self> {
        let lower = sql.trim().to_lowercase();
        let (base, modifier) = match lower.split_once('(') {
            Some((before, rest)) => {
                let (inside, after) = rest.split_once(')')?;
                (format!("{before} {after}"), Some(inside.replace(' ', "")))
            }
            None => (lower.clone(), None),
        };
        let base = base.split_whitespace().collect::<Vec<_>>().join(" ");
        let kind = match base.trim_start_matches("pg_catalog.") {
            "bool" | "boolean" => Bool,
            "int2" | "smallint" => Int2,
            "int" | "int4" | "integer" => Int4,
            "int8" | "bigint" => Int8,
            "numeric" | "decimal" => Numeric,
            "float4" | "real" => Float4,
            "float8" | "double precision" => Float8,
            "text" => Text,
            "varchar" | "character varying" => Varchar,
            "char" | "character" | "bpchar" => Char,
            "uuid" => Uuid,
            "bytea" => Bytea,
            "date" => Date,
            "time" | "time without time zone" => Time,
            "timetz" | "time with time zone" => Timetz,
            "timestamp" | "timestamp without time zone" => Timestamp,
            "timestamptz" | "timestamp with time zone" => Timestamptz,
            "interval" => Interval,
            "jsonb" => Jsonb,
            _ => return None,
        };
        Some(Self { kind, modifier, sql: lower })
    }

    /// Whether a value of type `other` is stored in this one unchanged, and equal values have equal bytes.
    pub(crate) fn compares_bytewise_with(&self, other: &Self) -> bool {
        self.hash_function().is_none()
            && self.kind == other.kind
            && self.modifier.is_none()
            && other.modifier.is_none()
    }

    /// The function of Postgres's that gives equal values of this type equal numbers; `None` where their bytes do.
    pub(crate) fn hash_function(&self) -> Option<&'static str> {
        match self.kind {
            Numeric => Some("hash_numeric_extended"),
            Float4 => Some("hashfloat4extended"),
            Float8 => Some("hashfloat8extended"),
            Char => Some("hashbpcharextended"),
            Time => Some("time_hash_extended"),
            Timetz => Some("timetz_hash_extended"),
            Interval => Some("interval_hash_extended"),
            Jsonb => Some("jsonb_hash_extended"),
            _ => None,
        }
    }

    /// Whether a language may decide how its values are ordered.
    pub(crate) fn is_text(&self) -> bool {
        matches!(self.kind, Text | Varchar | Char)
    }

    pub(crate) fn is_integer(&self) -> bool {
        matches!(self.kind, Int2 | Int4 | Int8)
    }

    pub(crate) fn is_exact_number(&self) -> bool {
        self.is_integer() || self.kind == Numeric
    }

    /// Whether an explicit cast does what storing a value does; a text is cut by one and refused by the other.
    pub(crate) fn casts_as_it_stores(&self) -> bool {
        !matches!(self.kind, Varchar | Char) || (self.kind == Varchar && self.modifier.is_none())
    }

    /// Whether equal values look alike: the first of them may stand for all.
    pub(crate) fn has_one_form(&self) -> bool {
        self.hash_function().is_none() || self.is_ordered()
    }

    /// Whether values that are neither smaller nor greater than each other are the same in every digit, and Postgres
    /// has `max` and `min` of them.
    pub(crate) fn is_ordered(&self) -> bool {
        self.is_integer()
            || matches!(self.kind, Date | Time | Timestamp | Timestamptz)
            || (self.kind == Numeric && self.modifier.is_some())
    }

    /// Whether adding a value of type `other` to one of this type never rounds.
    pub(crate) fn adds_exactly(&self, other: &Self) -> bool {
        if !self.is_exact_number() || !other.is_exact_number() {
            return false;
        }
        match (self.kind, other.kind) {
            (Numeric, Numeric) => {
                self.modifier.is_none()
                    || (other.modifier.is_some() && other.scale() <= self.scale())
            }
            (Numeric, _) => true,
            (_, Numeric) => false,
            _ => true,
        }
    }

    fn scale(&self) -> i32 {
        let scale = self.modifier.as_deref().and_then(|modifier| modifier.split_once(','));
        scale.and_then(|(_, scale)| scale.parse().ok()).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn ty(sql: &str) -> SqlType {
        SqlType::read(sql).unwrap()
    }

    #[test]
    fn names_of_types_are_read_as_postgres_and_people_write_them() {
        assert_eq!(ty("timestamp(3) with time zone").kind, Timestamptz);
        assert_eq!(ty("timestamp(3) with time zone").modifier.as_deref(), Some("3"));
        assert_eq!(ty("NUMERIC(12, 2)").modifier.as_deref(), Some("12,2"));
        assert_eq!(ty("character varying(3)").kind, Varchar);
        for unknown in
            ["text[]", "citext", "json", "box", "int4range", "interval day to second", "my.text"]
        {
            assert_eq!(SqlType::read(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn bytes_decide_only_where_rules_say_so() {
        let same = [
            "bool",
            "int2",
            "int4",
            "int8",
            "uuid",
            "date",
            "timestamp",
            "timestamptz",
            "bytea",
            "text",
        ];
        assert!(same.iter().all(|name| ty(name).compares_bytewise_with(&ty(name))));
        for (column, field) in [
            ("int8", "int4"),
            ("varchar", "text"),
            ("numeric(12,2)", "numeric(12,2)"),
            ("float8", "float8"),
            ("jsonb", "jsonb"),
            ("char(3)", "char(3)"),
            ("timestamptz(3)", "timestamptz"),
            ("interval", "interval"),
        ] {
            assert!(!ty(column).compares_bytewise_with(&ty(field)), "{column} {field}");
        }
    }

    #[test]
    fn sums_that_round_are_not_exact() {
        for (column, value, exact) in [
            ("int4", "int8", true),
            ("int4", "numeric", false),
            ("numeric(12,2)", "numeric(9,2)", true),
            ("numeric(12,2)", "numeric(9,3)", false),
            ("numeric(12,2)", "numeric", false),
            ("numeric", "numeric(9,3)", true),
            ("float8", "float8", false),
            ("numeric", "float8", false),
        ] {
            assert_eq!(ty(column).adds_exactly(&ty(value)), exact, "{column} {value}");
        }
    }
}
