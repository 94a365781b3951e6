//! What is wrong with a model's rights as a whole: a way around a policy is refused; what has no effect is warned of.

use std::collections::{BTreeMap, BTreeSet};

use crate::finding::report::Report;
use crate::objects::index::View;
use crate::rights::grant::Grant;
use crate::rights::phrase::{Spelled, SpelledRole};
use crate::rights::policy::Policy;
use crate::rights::{Role, applies};

/// All rights of a model.
pub(crate) struct Verdict<'a> {
    pub(crate) grants: &'a [Grant],
    pub(crate) policies: &'a [Policy],
    pub(crate) views: &'a [View],
}

impl Verdict<'_> {
    pub(crate) fn report(&self, report: &mut Report) {
        self.refuse_twins(report);
        self.refuse_ways_around(report);
        self.warn_of_useless_policies(report);
        self.warn_of_blind_roles(report);
        self.warn_of_folding(report);
    }

    /// Policies of one table have names of their own.
    fn refuse_twins(&self, report: &mut Report) {
        let mut names = BTreeMap::new();
        for policy in self.policies {
            if let Some(first) = names.insert((&policy.table, &policy.name), policy.at) {
                let Policy { name, table, .. } = policy;
                let what = format!(
                    "policy `{name}` of `{table}` is created in line {} already",
                    first.line
                );
                report.error(policy.at, what, "choose another name");
            }
        }
    }

    /// A view shows what it reads whatever the policies there say, so it is for those alone who may read all of it.
    fn refuse_ways_around(&self, report: &mut Report) {
        for (grant, view) in self
            .grants
            .iter()
            .flat_map(|grant| grant.relations.iter().map(move |view| (grant, view)))
        {
            for table in self.tables(view) {
                for role in grant.roles.iter().filter(|role| !self.reads_all(table, role)) {
                    let who = spelled(role);
                    let what = format!(
                        "`{view}` shows rows of `{table}`, whose policies do not let {who} read all of them"
                    );
                    let help = format!(
                        "grant the view to roles that may read all (CREATE POLICY … ON {table} FOR SELECT TO role USING (true))"
                    );
                    report.error(grant.at, what, help);
                }
            }
        }
    }

    /// The tables that a view reads, itself or by other views.
    fn tables(&self, view: &str) -> BTreeSet<&str> {
        let mut tables = BTreeSet::new();
        let mut open: Vec<&View> = self.views.iter().filter(|known| known.name == view).collect();
        let mut seen = BTreeSet::new();
        while let Some(view) = open.pop() {
            for name in view.reads.iter().filter(|name| seen.insert(name.as_str())) {
                match self.views.iter().find(|known| known.name == *name) {
                    Some(view) => open.push(view),
                    None => drop(tables.insert(name.as_str())),
                }
            }
        }
        tables
    }

    fn reads_all(&self, table: &str, role: &Role) -> bool {
        let mut policies = self.policies.iter().filter(|policy| policy.table == table).peekable();
        policies.peek().is_none()
            || policies.any(|policy| policy.using.is_true() && applies(&policy.roles, role))
    }

    /// A policy lets nobody read anything where none of its roles was granted the table, nor a view over it.
    fn warn_of_useless_policies(&self, report: &mut Report) {
        for policy in self.policies {
            let reaches = |grant: &&Grant| {
                grant.relations.iter().any(|relation| {
                    *relation == policy.table
                        || self.tables(relation).contains(policy.table.as_str())
                })
            };
            let granted = |role: &Role| {
                let mut grants = self.grants.iter().filter(reaches);
                grants.any(|grant| *role == Role::Public || applies(&grant.roles, role))
            };
            if !policy.roles.iter().any(granted) {
                let roles: Vec<_> = policy.roles.iter().map(spelled).collect();
                let what = format!(
                    "policy `{}` lets nobody read anything: `{}` is not granted to {}",
                    policy.name,
                    policy.table,
                    roles.join(" or ")
                );
                let help =
                    format!("add GRANT SELECT ON {} TO …, or leave the policy out", policy.table);
                report.warning(policy.at, what, help);
            }
        }
    }

    /// Where a table has policies, a role that none of them names sees no row.
    fn warn_of_blind_roles(&self, report: &mut Report) {
        for grant in self.grants {
            for table in &grant.relations {
                let policies: Vec<_> =
                    self.policies.iter().filter(|policy| policy.table == *table).collect();
                let sees = |role: &&Role| {
                    policies
                        .iter()
                        .any(|policy| applies(&policy.roles, role) || **role == Role::Public)
                };
                let blind = grant.roles.iter().filter(|role| !policies.is_empty() && !sees(role));
                for role in blind {
                    let what = format!(
                        "no policy of `{table}` is for {}, who so sees none of its rows",
                        spelled(role)
                    );
                    let help = format!("add CREATE POLICY … ON {table} FOR SELECT TO … USING (…)");
                    report.warning(grant.at, what, help);
                }
            }
        }
    }

    /// Roles are compared exactly, and names without quotes are folded first.
    fn warn_of_folding(&self, report: &mut Report) {
        let grants = self.grants.iter().flat_map(|grant| &grant.spelled);
        let all: Vec<&Spelled> = grants
            .chain(self.policies.iter().flat_map(|policy| &policy.spelled))
            .filter(|role| role.role != Role::Public)
            .map(|SpelledRole { name, .. }| name)
            .collect();
        let mut first: BTreeMap<String, &Spelled> = BTreeMap::new();
        for name in all {
            if name.written != name.folded {
                let (written, folded) = (&name.written, &name.folded);
                let what = format!(
                    "`{written}` without quotes is the role `{folded}`, and a token's `{written}` is another"
                );
                report.warning(
                    name.at,
                    what,
                    format!("write \"{written}\" with quotes, or {folded}"),
                );
            }
            let before = first.entry(name.folded.to_lowercase()).or_insert(name);
            if before.folded != name.folded {
                let what = format!(
                    "the roles `{}` and `{}` (line {}) differ in the case of letters only, and so are two",
                    name.folded, before.folded, before.at.line
                );
                report.warning(name.at, what, "write both as the tokens do, in quotes");
            }
        }
    }
}

fn spelled(role: &Role) -> String {
    match role {
        Role::Public => "PUBLIC".to_owned(),
        Role::Named(name) => format!("`{name}`"),
    }
}
