//! Acknowledgements at saturation: the floor and the API in turn, then the API beside a worker.

use super::Run;
use crate::floor::Floor;
use crate::generator::{self, Acks};
use crate::progress::say;
use crate::report::acks::Measured;
use crate::stack::{Plan, Stack, around};
use crate::usage::{Meter, Watched};
use crate::webhook::{ACCOUNT, USERS, Volley, user_id};
use anyhow::Result;
use dmrelay_simulator::{Act, Action};
use std::net::SocketAddr;
use std::sync::Arc;

/// The round of the run beside the worker; the pairs have the numbers before it.
const BESIDE_WORKER: u16 = 1_000;

impl Run {
    /// Floor and API in turn, with the same webhooks.
    pub(super) async fn acknowledgements(&mut self) -> Result<()> {
        let plan = Plan::new("acks", 1);
        let stack = Stack::start(&self.servers, &self.simulator, plan).await?;
        let database = self.servers.postgres.create("floor").await?;
        let floor = Floor::start(&self.servers, Some(&database)).await?;
        let bare = Floor::start(&self.servers, None).await?;
        let floor_watched = |id| [vec![Watched::one("floor", id)], around(&self.servers)].concat();
        let floor_run = (floor.addr(), floor_watched(floor.id()));
        let api_run = (stack.addr(), stack.watched());
        let mut volley = self.volley(1)?;
        let watched = floor_watched(bare.id());
        self.report.acks.bare =
            Some(self.saturate("floor without storage", (bare.addr(), watched), &volley).await?);
        for pair in 1..=self.load.pairs {
            if pair > 1 {
                volley = self.volley(pair)?;
            }
            let floor = self.saturate(&format!("floor {pair}"), floor_run.clone(), &volley).await?;
            let api = self.saturate(&format!("api {pair}"), api_run.clone(), &volley).await?;
            self.report.acks.pairs.push((floor, api));
        }
        self.report.complaints.extend(stack.end());
        Ok(())
    }

    /// The API while the worker has its hands full on the same machine.
    pub(super) async fn acknowledgements_beside_worker(&mut self) -> Result<()> {
        let plan = Plan::new("busy", self.load.worker_concurrency);
        self.simulator.configure(|settings| settings.keep_records = false);
        let mut stack = Stack::start(&self.servers, &self.simulator, plan).await?;
        stack.hire(1).await?;
        // Whoever is to be answered has written before, as far as the simulator is concerned.
        for user in 0..USERS {
            self.simulator.act(Act::new(ACCOUNT, &user_id(user), Action::text("Hello")).withheld());
        }
        let volley = self.volley(BESIDE_WORKER)?;
        let watched = stack.watched();
        let measured = self.saturate("api beside the worker", (stack.addr(), watched), &volley).await?;
        self.report.acks.answered_meanwhile = self.simulator.record(|record| record.send_count);
        self.report.acks.beside_worker = Some(measured);
        self.simulator.configure(|settings| settings.keep_records = true);
        // Its backlog is of no interest.
        self.report.complaints.extend(stack.end());
        Ok(())
    }

    fn volley(&self, round: u16) -> Result<Arc<Volley>> {
        let prepared = generator::to_prepare(self.load.saturation());
        Ok(Arc::new(Volley::prepare(round, self.simulator.now_ms(), prepared)?))
    }

    async fn saturate(
        &self,
        name: &str,
        (addr, watched): (SocketAddr, Vec<Watched>),
        volley: &Arc<Volley>,
    ) -> Result<Measured> {
        self.servers.postgres.checkpoint().await?;
        let load = generator::Load {
            addr,
            connections: usize::from(self.load.connections),
            counted: self.load.saturation(),
        };
        let meter = Meter::start(watched);
        let acks: Acks = generator::saturate(load, volley).await?;
        let spent = meter.stop();
        say(&format!("{name}: {:.0} acknowledged a second, {} errors", acks.per_second(), acks.errors()));
        Ok(Measured { name: name.to_owned(), acks, spent })
    }
}
