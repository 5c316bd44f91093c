//! Visits every state that can be reached.

use super::action::Action;
use super::rules::{Breach, Rule};
use super::world::World;
use super::{Limits, Model};
use crate::examine::without_panic;
use std::collections::HashMap;
use std::thread;

/// What came of an exploration.
#[derive(Clone, Debug)]
pub struct Report {
    /// States that were visited, each counted once.
    pub states: usize,
    /// Actions that were tried, over all states.
    pub transitions: usize,
    /// Most actions that it takes to come to a state.
    pub depth: usize,
    /// States in which a run is over.
    pub ends: usize,
    /// Whether there is no other state than those; otherwise the limit was reached, or a rule is broken.
    pub is_complete: bool,
    /// How a rule is broken, with as few actions as can be.
    pub counterexample: Option<Counterexample>,
}

/// A way to a state in which a rule does not hold.
#[derive(Clone, Debug)]
pub struct Counterexample {
    /// What is wrong there.
    pub breach: Breach,
    /// How to come there from the beginning.
    pub path: Vec<Action>,
}

/// A state: the action that led to it for the first time, and from where.
struct Node {
    parent: u32,
    action: Option<Action>,
}

/// What became of one action in one state.
struct Step {
    from: u32,
    action: Action,
    result: Result<Next, Breach>,
}

struct Next {
    fingerprint: u64,
    is_end: bool,
    /// What can happen after it; empty if the state was known before.
    actions: Vec<Action>,
    world: Option<World>,
}

/// A state whose actions are still to be tried.
struct Open {
    state: u32,
    actions: Vec<Action>,
    /// The state itself, for the first of its actions, as long as there is room for it.
    world: Option<World>,
}

/// The states that were found, and how they hang together.
struct Explorer {
    model: Model,
    nodes: Vec<Node>,
    known: HashMap<u64, u32>,
    /// From where to where.
    edges: Vec<(u32, u32)>,
    ends: Vec<u32>,
}

/// States that are expanded before what was found is put together.
const BATCH: usize = 1024;

/// Most states that are kept until they are expanded; the others are made again.
const KEPT_MAX: usize = 30_000;

/// Visits every state of `model`, breadth first; `progress` is told of the states, the transitions and the depth.
pub(super) fn explore(model: Model, limits: Limits, mut progress: impl FnMut(usize, usize, usize)) -> Report {
    let mut explorer = Explorer {
        model,
        nodes: vec![Node { parent: 0, action: None }],
        known: HashMap::new(),
        edges: vec![],
        ends: vec![],
    };
    let begin = World::new(model.setup, model.faults, model.mutation);
    explorer.known.insert(begin.fingerprint(), 0);
    let mut frontier = vec![Open { state: 0, actions: begin.actions(), world: Some(begin) }];
    let mut depth = 0;
    let mut is_complete = true;
    while !frontier.is_empty() {
        let mut next = vec![];
        while !frontier.is_empty() {
            let batch = frontier.split_off(frontier.len().saturating_sub(BATCH));
            if explorer.nodes.len() >= limits.states {
                is_complete = false;
                break;
            }
            for step in explorer.expand(batch, limits.threads) {
                if let Err(counterexample) = explorer.take(step, &mut next) {
                    return explorer.report(depth + 1, false, Some(counterexample));
                }
            }
            progress(explorer.nodes.len(), explorer.edges.len(), depth + 1);
        }
        next.reverse();
        frontier = if is_complete { next } else { vec![] };
        depth += usize::from(!frontier.is_empty());
    }
    let stuck = if is_complete { explorer.find_stuck() } else { None };
    explorer.report(depth, is_complete, stuck)
}

/// What is seen on the way along `path`.
pub(super) fn retell(model: Model, path: &[Action]) -> Vec<String> {
    let mut world = World::new(model.setup, model.faults, model.mutation);
    world.log = Some(vec![]);
    for action in path {
        world.note(|| format!("{action:?}"));
        world.act(*action);
    }
    world.log.unwrap_or_default()
}

impl Explorer {
    /// Tries every action of every state in `batch`, in an order that does not depend on the threads.
    fn expand(&self, mut batch: Vec<Open>, threads: usize) -> Vec<Step> {
        let share = batch.len().div_ceil(threads.max(1));
        thread::scope(|scope| {
            let mut shares = vec![];
            // From the end, which comes first.
            while !batch.is_empty() {
                let states = batch.split_off(batch.len().saturating_sub(share));
                let expand = || states.into_iter().rev().flat_map(|open| self.expand_state(open)).collect();
                shares.push(scope.spawn(expand));
            }
            let joined = shares.into_iter().map(|share| share.join());
            joined.flat_map(|steps: Result<Vec<Step>, _>| steps.expect("panics are caught before")).collect()
        })
    }

    fn expand_state(&self, Open { state, actions, mut world }: Open) -> Vec<Step> {
        let path = self.path(state);
        let step = |action: Action| {
            let kept = world.take();
            let next = without_panic(|| self.walk(kept, &path, action));
            let result = next.unwrap_or_else(|panic| Err(Breach { rule: Rule::NoPanic, why: panic.why }));
            Step { from: state, action, result }
        };
        actions.into_iter().map(step).collect()
    }

    /// Walks along `path` from the beginning if the state is not `kept`, and on by `action`. There is no other way
    /// to a state: the machines cannot be copied.
    fn walk(&self, kept: Option<World>, path: &[Action], action: Action) -> Result<Next, Breach> {
        let mut world = kept.unwrap_or_else(|| {
            let mut world = World::new(self.model.setup, self.model.faults, self.model.mutation);
            path.iter().for_each(|action| world.act(*action));
            world
        });
        world.act(action);
        if let Some(breach) = world.breach.take() {
            return Err(breach);
        }
        let fingerprint = world.fingerprint();
        let is_end = world.is_at_end();
        let is_known = self.known.contains_key(&fingerprint);
        let (actions, world) = if is_known { (vec![], None) } else { (world.actions(), Some(world)) };
        Ok(Next { fingerprint, is_end, actions, world })
    }

    /// Adds the state that a step has led to, if it is new.
    fn take(&mut self, step: Step, frontier: &mut Vec<Open>) -> Result<(), Counterexample> {
        let Step { from, action, result } = step;
        let next = match result {
            Ok(next) => next,
            Err(breach) => {
                let mut path = self.path(from);
                path.push(action);
                return Err(Counterexample { breach, path });
            }
        };
        let number = u32::try_from(self.nodes.len()).expect("fewer states than fit in the memory");
        let to = *self.known.entry(next.fingerprint).or_insert(number);
        self.edges.push((from, to));
        if to == number {
            self.nodes.push(Node { parent: from, action: Some(action) });
            if next.is_end {
                self.ends.push(number);
            }
            let world = next.world.filter(|_| frontier.len() < KEPT_MAX);
            frontier.push(Open { state: number, actions: next.actions, world });
        }
        Ok(())
    }

    fn path(&self, mut state: u32) -> Vec<Action> {
        let mut path = vec![];
        while let Node { parent, action: Some(action) } = &self.nodes[state as usize] {
            path.push(*action);
            state = *parent;
        }
        path.reverse();
        path
    }

    /// A state from which no end can be reached.
    fn find_stuck(&self) -> Option<Counterexample> {
        let mut into: Vec<(u32, u32)> = self.edges.iter().map(|(from, to)| (*to, *from)).collect();
        into.sort_unstable();
        let mut can_end = vec![false; self.nodes.len()];
        let mut open = self.ends.clone();
        open.iter().for_each(|end| can_end[*end as usize] = true);
        while let Some(state) = open.pop() {
            let begin = into.partition_point(|(to, _)| *to < state);
            for (_, from) in into[begin..].iter().take_while(|(to, _)| *to == state) {
                if !std::mem::replace(&mut can_end[*from as usize], true) {
                    open.push(*from);
                }
            }
        }
        let stuck = can_end.iter().position(|can_end| !can_end)?;
        let path = self.path(u32::try_from(stuck).expect("it is the number of a state"));
        let why = "there is no way to an end from here".into();
        Some(Counterexample { breach: Breach { rule: Rule::CanEnd, why }, path })
    }

    fn report(&self, depth: usize, is_complete: bool, counterexample: Option<Counterexample>) -> Report {
        Report {
            states: self.nodes.len(),
            transitions: self.edges.len(),
            depth,
            ends: self.ends.len(),
            is_complete: is_complete && counterexample.is_none(),
            counterexample,
        }
    }
}
