//! One rule by itself: its accesses, and the merge that its events of one key may be.

use sqlparser::ast::Statement;

use super::access::Access;
use super::analysis::{Read, Study, called, is_whole};
use super::keys::EventKeys;
use super::merge::{self, Merge};
use super::names::{CalledRelation, Names, Source};
use super::reads::Reader;
use super::select_level::Keyed;
use super::touch::Change;
use crate::shape::rule::Rule;
use crate::shape::written::assignments;

/// What is known of a rule before the rules are looked at together.
pub(crate) struct Draft {
    pub(crate) accesses: Vec<Access>,
    pub(crate) merge: Option<Merge>,
}

impl<'a> Study<'a> {
    pub(crate) fn draft(&self, rule: &'a Rule, keys: &mut EventKeys) -> Draft {
        let Some(table) = self.table(&rule.target) else {
            return Draft { accesses: Vec::new(), merge: None };
        };
        let called = called(&rule.ast).unwrap_or_else(|| rule.target.clone());
        let target = CalledRelation { called: called.clone(), source: Source::Table(table) };
        let all = self.mentions(rule, &target);
        let names = Names { model: self.model, types: self.types, rule, all };
        let types = |table: usize, column: usize| self.facts[table].types[column].as_ref();
        let keyed = Keyed { names: &names, types: &types, whole: is_whole(rule), keys };
        let mut reader = Reader::new(keyed, &rule.ast, target);
        let level = reader.outermost.take();
        let row = match &rule.ast {
            Statement::Insert(insert) => {
                self.new_row(insert, table, level.as_ref(), &mut reader.keyed)
            }
            _ => Vec::new(),
        };
        let mut accesses = self.reads(&reader, rule);
        let reads_target = accesses.iter().any(|access| access.table == table);
        let named = reader.named.columns(&called, &self.model.tables[table]);
        let written = self.facts[table].with_generated(self.written(table, assignments(&rule.ast)));
        let change = Change { table, written, at: rule.at };
        let mut own = match &rule.ast {
            Statement::Insert(insert) => self.insert(insert, &called, change, &row),
            _ => {
                let parts = level
                    .as_ref()
                    .and_then(|level| level.parts.last())
                    .cloned()
                    .unwrap_or_default();
                vec![self.change(change, parts, named, matches!(rule.ast, Statement::Delete(_)))]
            }
        };
        let read = Read { rule, names, table, called, level, reads_target };
        let merge = merge::of(self, &read, &keys.keys);
        if let Some(merge) = &merge {
            merge.mark_sums(&mut own, &self.model.tables[table], &self.facts[table]);
        }
        own.append(&mut accesses);
        own.dedup();
        Draft { accesses: own, merge }
    }
}
