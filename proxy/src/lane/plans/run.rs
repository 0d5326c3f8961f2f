//! Runs a plan: collects its nodes in order, up to the node that produces the answer.

use std::sync::Arc;

use predictsql_optimizer::plan::{Filter, Node, Predict, Relate, Scan};

use crate::error::SqlError;
use crate::lane::context::LaneContext;
use crate::lane::plans::answered::{Answered, Audience};
use crate::lane::plans::materialise;
use crate::lane::plans::ready::{Materialisation, Pipeline, Ready};
use crate::lane::plans::stream;
use crate::lane::session::temporary_tables::Tables;
use crate::lane::store::error::LinkError;
use crate::lane::turn::Turn;
use crate::live::Statement;

/// The nodes before the node that produces the answer.
#[derive(Default)]
struct Upstream<'r> {
    scan: Option<&'r Scan>,
    predicts: Vec<&'r Predict>,
    filter: Option<&'r Filter>,
    relates: Vec<&'r Relate>,
}

/// Runs a plan and writes its whole answer, if `audience` is the client.
pub async fn run(
    turn: &mut Turn<'_>,
    context: &Arc<LaneContext>,
    ready: &Ready<'_, '_>,
    running: &Statement,
    tables: &mut Tables,
    audience: Audience,
) -> Result<Answered, LinkError> {
    let mut upstream = Upstream::default();
    for node in &ready.plan.nodes {
        match node {
            Node::Scan(scan) => upstream.scan = Some(scan),
            // Streaming and harvesting create their spools themselves.
            Node::Spool => {}
            Node::Predict(predict) => upstream.predicts.push(predict),
            Node::Filter(filter) => upstream.filter = Some(filter),
            Node::Relate(relate) => upstream.relates.push(relate),
            Node::Project(project) => {
                let (Some(scan), Some(filter)) = (upstream.scan, upstream.filter) else {
                    return Err(SqlError::other("a plan whose rows come from nowhere").into());
                };
                let pipeline = Pipeline {
                    ready,
                    scan,
                    predicts: upstream.predicts,
                    filter,
                    project,
                };
                return stream::run(turn, context, &pipeline, running, audience).await;
            }
            Node::Rerun(rerun) => {
                let relates = upstream.relates;
                let plan = Materialisation {
                    ready,
                    relates,
                    rerun,
                };
                return materialise::run(turn, context, &plan, running, tables, audience).await;
            }
        }
    }
    Err(SqlError::other("a plan without an answer").into())
}
