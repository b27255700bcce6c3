//! Registration of commands, and how they are run.

use std::borrow::Cow;
use std::ffi::{c_int, CStr, CString};

use redis_module::raw;

use crate::api::OK;
use crate::argv::Argv;
use crate::command_info::{self, Access, Arg};
use crate::guard::{catch, recover};
use crate::{Context, Module};

/// One command: what the server is told of it, and what it does.
pub trait Command {
    const SPEC: Spec;

    /// Why a call is refused.
    type Error;

    /// Runs the command. The reply is sent last, so that an error or a panic before leaves room for its own.
    fn run(context: &Context, args: Argv) -> Result<(), Self::Error>;

    /// The error as it is sent: a stable code, a blank, a sentence.
    fn sentence(error: &Self::Error) -> Cow<'_, CStr>;
}

/// What the server is told of a command.
pub struct Spec {
    pub name: &'static CStr,
    /// RM_CreateCommand's flags.
    pub flags: &'static CStr,
    /// Arguments with the command's name; negative for "at least".
    pub arity: c_int,
    pub keys: Keys,
    /// ACL categories besides those that follow from flags and keys, separated by blanks; empty for none.
    pub acl: &'static CStr,
    pub summary: &'static CStr,
    pub complexity: &'static CStr,
    /// The version it came with.
    pub since: &'static CStr,
    /// Tips for clients and proxies, separated by blanks; empty for none.
    pub tips: &'static CStr,
    /// Listed when they are asked for, once, at the load.
    pub args: fn() -> Vec<Arg>,
}

/// Where a command's keys are, and what it does to them.
#[derive(Clone, Copy)]
pub enum Keys {
    None,
    /// The first argument.
    One(Access),
    /// Every argument.
    All(Access),
    /// As many as the first argument says.
    Counted(Access),
}

/// Registers `C`. The error says what the server declined.
pub fn register<M: Module, C: Command>(context: &Context) -> Result<(), String> {
    let spec = &C::SPEC;
    let shown = spec.name.to_string_lossy();
    let (first, last, step) = match spec.keys {
        // The old form cannot describe a counted list. Its keys are found by the key spec, and for a cluster's
        // redirects, which look at the old form alone, by asking the command itself: `getkeys-api` and `tell_keys`.
        Keys::None | Keys::Counted(_) => (0, 0, 0),
        Keys::One(_) => (1, 1, 1),
        Keys::All(_) => (1, -1, 1),
    };
    let (name, flags) = (spec.name.as_ptr(), spec.flags.as_ptr());
    if call!(RedisModule_CreateCommand(context.raw, name, Some(handle::<M, C>), flags, first, last, step)) != OK {
        return Err(format!("the server declined the command {shown}: perhaps another module has one of that name"));
    }
    let command = call!(RedisModule_GetCommand(context.raw, name));
    if command.is_null() {
        return Err(format!("the server lost the command {shown}"));
    }
    if !command_info::describe(command, spec) {
        return Err(format!("the server declined the documentation of {shown}"));
    }
    if has!(RedisModule_SetCommandACLCategories) {
        let categories = acl_categories::<M>(spec);
        if call!(RedisModule_SetCommandACLCategories(command, categories.as_ptr())) != OK {
            return Err(format!("the server declined the ACL categories of {shown}"));
        }
    }
    Ok(())
}

/// Redis's own categories, which it gives to its own commands by their flags but not to a module's; those of the spec;
/// and the module's, where a module can add one.
fn acl_categories<M: Module>(spec: &Spec) -> CString {
    let flags = spec.flags.to_string_lossy();
    let has_flag = |flag| flags.split(' ').any(|given| given == flag);
    let own = M::ACL_CATEGORY.filter(|_| has!(RedisModule_AddACLCategory));
    let categories = [
        Some(if has_flag("write") || spec.keys.are_changed() { c"write" } else { c"read" }),
        Some(if has_flag("fast") { c"fast" } else { c"slow" }),
        has_flag("blocking").then_some(c"blocking"),
        (!spec.acl.is_empty()).then_some(spec.acl),
        own,
    ];
    let words: Vec<&[u8]> = categories.into_iter().flatten().map(CStr::to_bytes).collect();
    // No word holds a NUL.
    CString::new(words.join(&b' ')).unwrap_or_default()
}

/// Adds the module's category. Before the commands.
pub(crate) fn add_acl_category<M: Module>(context: &Context) -> Result<(), String> {
    let Some(category) = M::ACL_CATEGORY.filter(|_| has!(RedisModule_AddACLCategory)) else { return Ok(()) };
    if call!(RedisModule_AddACLCategory(context.raw, category.as_ptr())) != OK {
        return Err(format!("the server declined the ACL category {}", category.to_string_lossy()));
    }
    Ok(())
}

impl Keys {
    pub(crate) const fn access(self) -> Option<Access> {
        match self {
            Keys::None => None,
            Keys::One(access) | Keys::All(access) | Keys::Counted(access) => Some(access),
        }
    }

    /// Commands that change keys need not have the flag `write`, for which a server refuses them in more cases.
    const fn are_changed(self) -> bool {
        matches!(self.access(), Some(Access::Update | Access::Overwrite))
    }
}

guarded! {
    fn handle<M: Module, C: Command>(
        context: *mut raw::RedisModuleCtx,
        argv: *mut *mut raw::RedisModuleString,
        argc: c_int,
    ) -> c_int, else {
        // SAFETY: the context of this callback.
        catch::<M, _>("reply", || unsafe { Context::new(context) }.reply_error(M::INTERNAL));
        recover::<M>(context);
        OK
    } {
        // SAFETY: the context of this callback.
        let context = unsafe { Context::new(context) };
        // SAFETY: the arguments of this callback, which outlive it.
        let args = unsafe { Argv::new(argv, argc) };
        if matches!(C::SPEC.keys, Keys::Counted(_)) && call!(RedisModule_IsKeysPositionRequest(context.raw)) == 1 {
            tell_keys(&context, args);
            return OK;
        }
        let fits = if C::SPEC.arity < 0 { argc >= -C::SPEC.arity } else { argc == C::SPEC.arity };
        if !fits {
            context.reply_wrong_arity();
        } else if let Err(error) = C::run(&context, args) {
            context.reply_error(&C::sentence(&error));
        }
        OK
    }
}

/// Says where the keys of a counted list are, of a call that may be anything. Of a wrong count there are no keys to tell:
/// the command itself refuses it.
fn tell_keys(context: &Context, args: Argv) {
    let count = args.get(0).and_then(|word| std::str::from_utf8(word).ok()?.parse::<usize>().ok());
    let Some(count) = count.filter(|count| *count < args.len()) else { return };
    // After the command's name and the count.
    for position in (2..).take(count) {
        call!(RedisModule_KeyAtPos(context.raw, position));
    }
}
