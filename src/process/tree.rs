//! Which processes belong to a step. They are found by parentage, then by session, then by token, then by having been
//! seen as members before.
//!
//! The supervisor is a child subreaper, so every process of a tree that it started descends from it, and orphans become
//! its direct children. A tree that was taken over from a dead supervisor has lost its orphans to another parent; its
//! token is looked for in the whole table.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::io;

use super::proc::{Proc, ProcId, TOKEN_VARIABLE, environment_of, output_pipes};
use super::table::ProcTable;

/// How a tree came to this supervisor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Started here: its orphans become our children.
    Started,
    /// Taken over: its orphans may have any parent.
    TakenOver,
}

/// The processes of one step, with what is remembered of them.
#[derive(Debug)]
pub(crate) struct Tree {
    /// The process that was started; none when it was gone before the tree was taken over.
    pub(crate) main: Option<ProcId>,
    pub(crate) origin: Origin,
    /// `LEVERFRAME_TOKEN=…`.
    token_entry: Vec<u8>,
    /// The inode of the pipe for its output.
    pub(crate) pipe: Option<u64>,
    /// Members found in earlier searches that still exist.
    seen: HashSet<ProcId>,
    /// Sessions that a member leads or has led.
    sessions: HashSet<u32>,
}

/// What a search must know beyond the tree itself.
#[derive(Debug)]
pub(crate) struct ProcessContext<'a> {
    /// The supervisor.
    pub(crate) me: u32,
    /// The main processes of all steps.
    pub(crate) mains: &'a HashSet<u32>,
    /// No other step lives: an orphan without any other explanation belongs to this tree.
    pub(crate) only_tree: bool,
    /// Background processes that ended steps were allowed to leave behind.
    pub(crate) kept: &'a HashSet<ProcId>,
}

impl Tree {
    /// A tree whose root is `main`.
    pub(crate) fn new(main: Option<ProcId>, token: &str, pipe: Option<u64>, origin: Origin) -> Self {
        Self {
            main,
            origin,
            token_entry: token_entry(token),
            pipe,
            seen: HashSet::new(),
            sessions: main.iter().map(|main| main.pid).collect(),
        }
    }

    /// The living members, parents before their children. They are remembered for later searches.
    ///
    /// # Errors
    /// The marks of a process outside the tree could not be read, so the members are not known.
    pub(crate) fn members(
        &mut self,
        table: &ProcTable,
        context: &ProcessContext<'_>,
    ) -> io::Result<Vec<Proc>> {
        self.seen.retain(|id| table.holds(*id));
        let mut search = MemberSearch::new(table, context.me, self.earliest_start());
        search.sessions.clone_from(&self.sessions);
        search
            .queue
            .extend(self.main.iter().chain(&self.seen).filter(|id| table.holds(**id)).map(|id| id.pid));
        search.expand();
        let marked = self.marked(table, &search, context)?;
        search.queue.extend(marked);
        search.expand();
        let (members, sessions) = search.into_members();
        self.seen.extend(members.iter().map(|member| member.id));
        self.sessions.extend(sessions);
        Ok(members)
    }

    /// The processes that were found before, including dead ones: a search begins with these.
    pub(crate) fn known(&self) -> impl Iterator<Item = ProcId> {
        self.main.iter().chain(&self.seen).copied()
    }

    /// Whether a process with this pid was a member in an earlier search. It may have ended since.
    pub(crate) fn has_seen(&self, pid: u32) -> bool {
        self.seen.iter().any(|id| id.pid == pid)
    }

    /// Whether a process has the tree's token or pipe at this moment.
    pub(crate) fn is_marked(&self, pid: u32) -> io::Result<bool> {
        let environment = environment_of(pid)?.unwrap_or_default();
        let has_token = environment.split(|&byte| byte == 0).any(|entry| entry == self.token_entry);
        Ok(has_token || self.pipe.is_some_and(|pipe| output_pipes(pid).any(|(found, _)| found == pipe)))
    }

    /// The processes outside the tree that have its token or pipe.
    fn marked(
        &self,
        table: &ProcTable,
        search: &MemberSearch<'_>,
        context: &ProcessContext<'_>,
    ) -> io::Result<Vec<u32>> {
        let is_outsider = |pid: &u32| {
            !search.found.contains(pid) && table.get(*pid).is_some_and(|found| search.may_belong(found))
        };
        let is_orphan = |pid: &u32| !context.mains.contains(pid) && is_outsider(pid);
        let mut marked = Vec::new();
        for pid in table.children_of(context.me).iter().copied().filter(is_orphan) {
            let marks = table.marks_of(pid)?;
            // It belongs to another step, which has ended.
            let is_explained = || {
                let is_kept = table.get(pid).is_some_and(|found| context.kept.contains(&found.id));
                is_kept || !marks.tokens.is_empty()
            };
            if marks.tokens.contains(&self.token_entry)
                || self.pipe.is_some_and(|pipe| marks.pipes.contains(&pipe))
                || (context.only_tree && !is_explained())
            {
                marked.push(pid);
            }
        }
        if self.origin == Origin::TakenOver {
            let writers = self.pipe.map(|pipe| table.writing_to(pipe)).transpose()?.unwrap_or_default();
            let holders = table.with_token(&self.token_entry)?.iter().chain(writers);
            marked.extend(holders.copied().filter(is_outsider));
        }
        Ok(marked)
    }

    /// No process older than the main process can belong to the tree.
    fn earliest_start(&self) -> u64 {
        self.main.map_or(0, |main| main.start)
    }
}

/// The processes of the whole machine with this token: survivors of a supervisor that is gone.
///
/// # Errors
/// At least one process could not be read: there may be one.
pub(crate) fn processes_with_token(token: &str, table: &ProcTable, me: u32) -> io::Result<Vec<Proc>> {
    let holders = table.with_token(&token_entry(token))?;
    Ok(holders.iter().filter(|pid| **pid != me).filter_map(|pid| table.get(*pid)).copied().collect())
}

/// Which of these processes is the main one: the oldest that leads a session.
pub(crate) fn main_among(holders: &[Proc]) -> Option<ProcId> {
    let leads = |p: &&Proc| p.session == p.id.pid;
    let main = holders.iter().filter(leads).min_by_key(|p| (p.id.start, p.id.pid))?;
    // A member that called setsid later is not the main process: then its parent is among them too.
    (!holders.iter().any(|other| other.id.pid == main.parent)).then_some(main.id)
}

/// The token as an entry of an environment.
pub(crate) fn token_entry(token: &str) -> Vec<u8> {
    format!("{TOKEN_VARIABLE}={token}").into_bytes()
}

/// One search through the table.
struct MemberSearch<'a> {
    table: &'a ProcTable,
    me: u32,
    earliest_start: u64,
    found: HashSet<u32>,
    sessions: HashSet<u32>,
    queue: VecDeque<u32>,
}

impl<'a> MemberSearch<'a> {
    fn new(table: &'a ProcTable, me: u32, earliest_start: u64) -> Self {
        let (found, sessions, queue) = Default::default();
        Self { table, me, earliest_start, found, sessions, queue }
    }

    fn may_belong(&self, p: &Proc) -> bool {
        p.id.pid > 1 && p.id.pid != self.me && p.id.start >= self.earliest_start && !p.is_dead()
    }

    /// Adds the queued processes, their descendants and the sessions that members lead, until nothing new is found.
    fn expand(&mut self) {
        loop {
            while let Some(pid) = self.queue.pop_front() {
                let Some(p) = self.table.get(pid) else { continue };
                if !self.may_belong(p) || !self.found.insert(pid) {
                    continue;
                }
                if p.session == pid {
                    self.sessions.insert(pid);
                }
                self.queue.extend(self.table.children_of(pid));
            }
            let of_sessions = self.sessions.iter().filter_map(|session| {
                // A living leader that is no member: the number was reused.
                let is_reused =
                    self.table.get(*session).is_some_and(|p| !p.is_dead() && !self.found.contains(session));
                if is_reused { None } else { Some(self.table.session(*session)) }
            });
            let may_join = |pid: &&u32| {
                !self.found.contains(*pid) && self.table.get(**pid).is_some_and(|p| self.may_belong(p))
            };
            let new: Vec<u32> = of_sessions.flatten().filter(may_join).copied().collect();
            if new.is_empty() {
                return;
            }
            self.queue.extend(new);
        }
    }

    /// The members, parents first, and the sessions that still have one.
    fn into_members(self) -> (Vec<Proc>, HashSet<u32>) {
        let members: BTreeMap<u32, Proc> =
            self.found.iter().filter_map(|pid| Some((*pid, *self.table.get(*pid)?))).collect();
        let depth = |p: &Proc| {
            std::iter::successors(Some(p), |p| members.get(&p.parent)).take(members.len() + 1).count()
        };
        let mut in_order: Vec<Proc> = members.values().copied().collect();
        in_order.sort_by_key(|p| (depth(p), p.id.start, p.id.pid));
        (in_order, self.sessions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn p(pid: u32, parent: u32, session: u32, state: u8) -> Proc {
        Proc { id: ProcId { pid, start: u64::from(pid) }, parent, session, state, n_threads: 1 }
    }

    fn check(table: &ProcTable, tree: &mut Tree, only_tree: bool, expected: &[u32]) {
        let mains = HashSet::from([1_000_100, 1_000_200]);
        let context = ProcessContext { me: 1_000_050, mains: &mains, only_tree, kept: &HashSet::new() };
        let found: Vec<u32> = tree.members(table, &context).unwrap().iter().map(|p| p.id.pid).collect();
        assert_eq!(found, expected);
    }

    fn tree() -> Tree {
        Tree::new(Some(ProcId { pid: 1_000_100, start: 1_000_100 }), "t", None, Origin::Started)
    }

    #[test]
    fn descendants_and_sessions_belong_and_parents_come_first() {
        let table = ProcTable::of([
            p(1_000_100, 1_000_050, 1_000_100, b'S'),
            p(1_000_103, 1_000_100, 1_000_100, b'S'),
            p(1_000_102, 1_000_103, 1_000_102, b'S'),
            p(1_000_105, 1_000_050, 1_000_102, b'S'),
            p(1_000_200, 1_000_050, 1_000_200, b'S'),
            p(1_000_201, 1_000_200, 1_000_200, b'S'),
            p(1_000_104, 1_000_100, 1_000_100, b'Z'),
        ]);
        check(&table, &mut tree(), false, &[1_000_100, 1_000_105, 1_000_103, 1_000_102]);
    }

    #[test]
    fn an_orphan_seen_as_a_member_before_still_belongs() {
        let mut tree = tree();
        let before = ProcTable::of([
            p(1_000_100, 1_000_050, 1_000_100, b'S'),
            p(1_000_101, 1_000_100, 1_000_101, b'S'),
        ]);
        check(&before, &mut tree, false, &[1_000_100, 1_000_101]);
        let after = ProcTable::of([p(1_000_101, 1_000_050, 1_000_101, b'S')]);
        check(&after, &mut tree, false, &[1_000_101]);
    }

    #[test]
    fn an_unexplained_orphan_belongs_to_the_only_tree_and_to_none_of_several() {
        let table = ProcTable::of([
            p(1_000_100, 1_000_050, 1_000_100, b'Z'),
            p(1_000_300, 1_000_050, 1_000_300, b'S'),
        ]);
        check(&table, &mut tree(), true, &[1_000_300]);
        check(&table, &mut tree(), false, &[]);
    }

    #[test]
    fn an_outsider_that_leads_a_session_with_a_reused_number_is_left_alone() {
        let mut outsider = p(1_000_100, 1, 1_000_100, b'S');
        outsider.id.start += 500;
        let table = ProcTable::of([outsider, p(1_000_900, 1_000_100, 1_000_100, b'S')]);
        check(&table, &mut tree(), false, &[]);
    }

    #[test]
    fn the_oldest_session_leader_with_the_token_is_the_main_process() {
        let shell = p(100, 1, 100, b'S');
        let child = p(101, 100, 100, b'S');
        let daemon = p(102, 101, 102, b'S');
        assert_eq!(main_among(&[child, daemon, shell]), Some(shell.id));
        assert_eq!(main_among(&[child, daemon]), None);
    }
}
