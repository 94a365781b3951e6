//! The search for culprits: a part that was refused is halved until one event stands alone. What turns out to be good is
//! committed on the way, so one culprit among n events costs about log2(n) parts that fail and as many that do not.

/// Where the next part ends.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Search {
    /// The events before this one, from the first that is left on, were refused together.
    refused: Option<usize>,
    /// What Postgres said points at this event. A pointer only: where it is wrong, halving goes on.
    suspect: Option<usize>,
}

impl Search {
    /// The end of the part to try, of events from `done` on, `all` in the batch.
    pub(crate) fn end(&self, done: usize, all: usize) -> usize {
        match (self.suspect, self.refused) {
            (Some(suspect), Some(_)) if suspect > done => suspect,
            (Some(suspect), Some(_)) if suspect == done => done + 1,
            (_, Some(refused)) => done + ((refused - done) / 2).max(1),
            (_, None) => all,
        }
    }

    /// The events up to `end` were refused together; perhaps for one of them.
    pub(crate) fn refused(&mut self, end: usize, suspect: Option<usize>) {
        self.refused = Some(end);
        // Pointed at before, and it was not the one.
        self.suspect = suspect.filter(|suspect| self.suspect != Some(*suspect) && *suspect < end);
    }

    /// The events up to `end` are committed.
    pub(crate) fn committed(&mut self, end: usize) {
        if self.refused.is_some_and(|refused| refused <= end) {
            self.reset();
        }
    }

    /// The culprit is known, or the batch is another: all that is left is tried at once.
    pub(crate) fn reset(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Writes events of which some are culprits, with a pointer at every refusal; the culprits found, and the parts that
    /// it took.
    fn write(
        events: usize,
        culprits: &[usize],
        mut point: impl FnMut(usize) -> Option<usize>,
    ) -> (Vec<usize>, usize) {
        let (mut search, mut done, mut parts, mut found) = (Search::default(), 0, 0, Vec::new());
        while done < events {
            let end = search.end(done, events);
            parts += 1;
            assert!(end > done && end <= events);
            let first =
                (done..end).find(|event| culprits.contains(event) && !found.contains(event));
            match (first.is_some(), end - done) {
                (false, _) => {
                    done = end;
                    search.committed(end);
                }
                (true, 1) => {
                    found.push(done);
                    search.reset();
                }
                (true, _) => search.refused(end, first.and_then(&mut point)),
            }
        }
        (found, parts)
    }

    #[test]
    fn one_culprit_in_a_thousand_takes_twenty_parts() {
        for culprit in 0..1000 {
            let (found, parts) = write(1000, &[culprit], |_| None);
            assert_eq!(found, [culprit]);
            assert!(parts <= 22, "{parts} parts for culprit {culprit}");
        }
    }

    proptest! {
        #[test]
        fn every_culprit_is_found_and_nothing_else(culprits in prop::collection::btree_set(0usize..60, 0..20)) {
            let culprits: Vec<usize> = culprits.into_iter().collect();
            prop_assert_eq!(write(60, &culprits, |_| None).0, culprits);
        }

        /// Whatever is pointed at, right or wrong, every culprit is found; right pointers find each in three parts.
        #[test]
        fn pointers_only_help(
            culprits in prop::collection::btree_set(0usize..60, 0..20),
            wrong in prop::collection::vec(prop::option::of(0usize..70), 200),
        ) {
            let culprits: Vec<usize> = culprits.into_iter().collect();
            let mut pointers = wrong.into_iter().cycle();
            prop_assert_eq!(&write(60, &culprits, |_| pointers.next().flatten()).0, &culprits);
            let (found, parts) = write(60, &culprits, Some);
            prop_assert!(parts <= 3 * culprits.len() + 1);
            prop_assert_eq!(found, culprits);
        }
    }
}
