//! Predictions in the step of a recursive WITH.
//!
//! The rows of a step are known only as the statement runs. Where an input reads one other table
//! of the step's join, all rows of that table are harvested that pass the conditions on it alone:
//! whatever row a step reads, its key is there.

use std::ops::Range;

use super::analysis::Materialise;
use crate::sql::blocks::factors;

impl Materialise<'_, '_> {
    /// For a harvest in the step of a recursive WITH: indexes of the tables of its join that are
    /// not the steps before. `None`: it is in no step.
    pub fn step_factors(&self, harvest: usize) -> Option<Vec<usize>> {
        let lexed = &self.statement.lexed;
        let harvest = self.harvests.get(harvest)?;
        let block = self.blocks.blocks.get(harvest.block?)?;
        let mut ctes = self.blocks.ctes.iter().filter(|cte| cte.recursive);
        let around = |range: &Range<usize>| range.contains(&block.range.start);
        let name = ctes.find_map(|cte| {
            let name = lexed.name(cte.range.start).filter(|_| around(&cte.range))?;
            let names = |range: &Range<usize>| self.names_table(range, &name);
            names(&block.from).then_some(name)
        })?;
        let tables = factors(lexed, &block.from).into_iter().enumerate();
        let others = tables.filter(|(_, table)| !self.names_table(table, &name));
        Some(others.map(|(index, _)| index).collect())
    }

    fn names_table(&self, range: &Range<usize>, name: &str) -> bool {
        let lexed = &self.statement.lexed;
        range.clone().any(|at| {
            let found = lexed.name(at);
            found.is_some_and(|found| found.to_lowercase() == name.to_lowercase())
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::fixture::catalog;
    use crate::sql::text::LexMode;
    use crate::statement::PredictStatement;

    /// Of each harvest.
    fn factors(text: &str) -> Vec<Option<Vec<usize>>> {
        let catalog = catalog();
        let statement = PredictStatement::read(text, LexMode::default(), "ml", &catalog)
            .expect("reads")
            .expect("has a call");
        let plan = statement.materialise().expect("can be planned");
        let harvests = 0..plan.harvests().len();
        harvests.map(|number| plan.step_factors(number)).collect()
    }

    #[test]
    fn steps_read_the_tables_beside_the_steps_before() {
        let with = |first: &str, step: &str| {
            format!("WITH RECURSIVE w AS ({first} UNION ALL {step}) SELECT * FROM w")
        };
        let first = "SELECT 1 AS id, ml.t(i) AS k FROM p";
        let step = "SELECT w.id + 1, ml.t(q.i) FROM w JOIN q ON q.k = w.id JOIN p ON p.id = q.k";
        assert_eq!(factors(&with(first, step)), [None, Some(vec![1, 2])]);
        let alone = "SELECT id + 1, ml.t(k) FROM W";
        assert_eq!(
            factors(&with("SELECT 1 AS id, 'a' AS k", alone)),
            [Some(vec![])]
        );
        let outside = "WITH RECURSIVE w AS (SELECT 1 AS id UNION ALL SELECT id + 1 FROM w WHERE id < 3) \
                       SELECT ml.t(p.i), COUNT(*) FROM w JOIN p USING (id) GROUP BY 1";
        assert_eq!(factors(outside), [None]);
    }
}
