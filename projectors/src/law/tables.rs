//! Random tables: keys of every kind, columns to add to, to move, to tie by checks, generated columns and unique indexes.

use super::dice::Dice;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ty {
    Int8,
    Int4,
    /// `numeric(12,2)`
    Exact,
    /// `numeric`: 1 and 1.00 are one key of two looks.
    Numeric,
    Float,
    Text,
    /// Text whose collation takes `a` for `A`.
    Blind,
    Char,
    Varchar,
    Jsonb,
}

use Ty::*;

impl Ty {
    pub(super) fn sql(self) -> &'static str {
        match self {
            Int8 => "int8",
            Int4 => "int4",
            Exact => "numeric(12,2)",
            Numeric => "numeric",
            Float => "float8",
            Text => "text",
            Blind => "text COLLATE public.blind",
            Char => "char(4)",
            Varchar => "varchar(3)",
            Jsonb => "jsonb",
        }
    }

    pub(super) fn is_number(self) -> bool {
        matches!(self, Int8 | Int4 | Exact | Numeric | Float)
    }

    pub(super) fn is_text(self) -> bool {
        matches!(self, Text | Blind | Char | Varchar)
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) ty: Ty,
    /// The rest of its declaration.
    pub(super) rest: &'static str,
    pub(super) generated: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Table {
    pub(super) name: &'static str,
    pub(super) columns: Vec<Column>,
    /// How many of the first columns are the key.
    pub(super) key: usize,
    /// The event's field that rules mostly compare the key's first column with.
    pub(super) field: &'static str,
    pub(super) ties: Vec<&'static str>,
    pub(super) indexes: Vec<&'static str>,
    pub(super) tags: Vec<&'static str>,
}

impl Table {
    /// `keyed`: its rows are to be told by the record key; `merging`: most effects on them are to be merges.
    pub(super) fn draw(dice: &mut Dice, name: &'static str, keyed: bool, merging: bool) -> Self {
        let mut table = Self {
            name,
            columns: Vec::new(),
            key: 1,
            field: if keyed || dice.chance(60) { "e.k" } else { "e.g" },
            ties: Vec::new(),
            indexes: Vec::new(),
            tags: Vec::new(),
        };
        let kinds = [
            (30, Int8),
            (2, Int4),
            (2, Exact),
            (3, Numeric),
            (3, Float),
            (3, Text),
            (3, Blind),
            (2, Char),
            (1, Varchar),
            (1, Jsonb),
        ];
        let ty = if keyed { Int8 } else { dice.weigh(&kinds) };
        if ty != Int8 {
            table.field = "";
            table.tags.push("key: another type");
        }
        table.column("k", ty, "");
        if ty == Int8 && dice.chance(25) {
            table.column("p", Int8, "");
            table.key = 2;
            table.tags.push("key: two columns");
        }
        table.others(dice, keyed, merging);
        if !merging || dice.chance(20) {
            table.tie(dice);
        }
        table
    }

    fn column(&mut self, name: &'static str, ty: Ty, rest: &'static str) {
        let generated = rest.starts_with("GENERATED");
        self.columns.push(Column { name, ty, rest, generated });
    }

    fn others(&mut self, dice: &mut Dice, keyed: bool, merging: bool) {
        if dice.chance(75) {
            self.column("o", Int8, "");
        }
        if !keyed && dice.chance(if merging { 6 } else { 18 }) {
            let (rest, tag) = dice.pick(&[
                ("UNIQUE", "unique: column"),
                ("", "unique: equal nulls"),
                ("", "unique: expression"),
                ("", "unique: predicate"),
            ]);
            self.column("u", Int8, rest);
            self.tags.push(tag);
            match tag {
                "unique: equal nulls" => self.ties.push("UNIQUE NULLS NOT DISTINCT (u)"),
                "unique: expression" => self.indexes.push("((u / 2))"),
                "unique: predicate" => self.indexes.push("(u) WHERE x > 0"),
                _ => {}
            }
        }
        self.column("n", Int4, dice.weigh(&[(3, "NOT NULL DEFAULT 0"), (1, "NOT NULL DEFAULT 5")]));
        if dice.chance(40) {
            self.column("s", Exact, "NOT NULL DEFAULT 0");
        }
        if dice.chance(60) || !self.indexes.is_empty() {
            self.column("x", Int8, "");
        }
        if dice.chance(20) {
            self.column("f", Float, "NOT NULL DEFAULT 0");
        }
        if dice.chance(55) {
            let ty = dice.weigh(&[(5, Text), (1, Varchar), (1, Char), (1, Blind)]);
            self.column("w", ty, "");
        }
        if dice.chance(6) {
            self.column("z", Numeric, "");
        }
    }

    fn tie(&mut self, dice: &mut Dice) {
        let has = |name: &str| self.columns.iter().any(|column| column.name == name);
        let (o, x) = (has("o"), has("x"));
        if dice.chance(14) {
            let check =
                if o && x && dice.chance(70) { "CHECK (x < o + 4)" } else { "CHECK (n < 9)" };
            self.ties.push(check);
            self.tags.push("check");
        }
        if dice.chance(14) {
            let made = if o && x && dice.chance(50) {
                "GENERATED ALWAYS AS (x + o) STORED"
            } else {
                "GENERATED ALWAYS AS (n * 2) STORED"
            };
            self.column("y", Int8, made);
            self.tags.push("generated column");
        }
    }

    pub(super) fn keys(&self) -> &[Column] {
        &self.columns[..self.key]
    }

    /// The columns that a rule may write, without the key.
    pub(super) fn others_written(&self) -> Vec<Column> {
        self.columns[self.key..].iter().filter(|column| !column.generated).copied().collect()
    }

    pub(super) fn sql(&self) -> String {
        let columns = self
            .columns
            .iter()
            .map(|column| format!("{} {} {}", column.name, column.ty.sql(), column.rest));
        let key: Vec<&str> = self.keys().iter().map(|column| column.name).collect();
        let key = format!("PRIMARY KEY ({})", key.join(", "));
        let ties = self.ties.iter().map(|tie| (*tie).to_owned());
        let all: Vec<String> = columns.chain([key]).chain(ties).collect();
        let indexes = self
            .indexes
            .iter()
            .map(|index| format!("CREATE UNIQUE INDEX ON {} {index};\n", self.name));
        format!("CREATE TABLE {} ({});\n{}", self.name, all.join(", "), indexes.collect::<String>())
    }
}
