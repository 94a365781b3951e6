//! What the files say of each model, now and whenever they change.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::mpsc;
use vitrina_projectors::{Definitions, Proposal, Proposed};

use super::{Instance, log};
use crate::changes::Changes;

impl Instance {
    /// Proposes what the files say, now and whenever they change, until the shutdown.
    pub(super) async fn follow(
        &self,
        mut changes: Changes,
        live: Vec<String>,
        definitions: Definitions,
        proposals: mpsc::Sender<Vec<Proposal>>,
    ) {
        let mut known: BTreeSet<String> = live.into_iter().collect();
        let mut definitions = definitions;
        loop {
            let mut models = self.enabled(&definitions);
            models.extend(self.without_a_file(&known, &definitions));
            known.extend(models.iter().map(|proposal| proposal.model.clone()));
            let sent = proposals.send(models);
            if !matches!(self.shutdown.run_until_cancelled(sent).await, Some(Ok(()))) {
                return;
            }
            match self.shutdown.run_until_cancelled(changes.next()).await {
                Some(changed) => definitions = changed,
                None => return,
            }
            log(&definitions);
        }
    }

    /// What the files say of each model that is not disabled.
    pub(super) fn enabled(&self, definitions: &Definitions) -> Vec<Proposal> {
        let loaded = definitions.models.iter().map(|definition| {
            (&definition.model.name, Proposed::File(Arc::new(definition.clone())))
        });
        let broken = definitions.broken.iter().map(|(model, findings)| {
            let findings: Vec<String> = findings.iter().map(ToString::to_string).collect();
            (model, Proposed::Broken(findings.join("\n")))
        });
        let with_settings = |(model, proposed): (&String, Proposed)| {
            let settings = self.config.model(model);
            if settings.is_none() {
                tracing::info!(model, "not enabled");
            }
            Some(Proposal { model: model.clone(), proposed, settings: settings? })
        };
        loaded.chain(broken).filter_map(with_settings).collect()
    }

    /// Models whose file is gone.
    pub(super) fn without_a_file(
        &self,
        known: &BTreeSet<String>,
        found: &Definitions,
    ) -> Vec<Proposal> {
        let has_file = |model: &String| {
            found.broken.contains_key(model)
                || found.models.iter().any(|definition| definition.model.name == *model)
        };
        let gone = |model: &String| {
            let file = self.config.models.join(format!("{model}.sql"));
            let reason = format!(
                "{} is gone: the model is readable, and is not fed; put the file back",
                file.display()
            );
            let settings = self.config.model(model)?;
            Some(Proposal { model: model.clone(), proposed: Proposed::Gone(reason), settings })
        };
        known.iter().filter(|model| !has_file(model)).filter_map(gone).collect()
    }
}
