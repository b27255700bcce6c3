//! The module's section of INFO.

use std::ffi::{c_int, CStr};

use redis_module::raw;

use crate::api::OK;
use crate::{Context, Module, OwnContext};

/// Where fields are written. The server puts the module's name before each.
pub struct Section(*mut raw::RedisModuleInfoCtx);

impl Section {
    pub fn number(&self, field: &CStr, value: u64) {
        call!(RedisModule_InfoAddFieldULongLong(self.0, field.as_ptr(), value));
    }

    pub fn text(&self, field: &CStr, value: &CStr) {
        call!(RedisModule_InfoAddFieldCString(self.0, field.as_ptr(), value.as_ptr()));
    }

    /// The server gives none with a section. Not in a crash report.
    pub fn context(&self) -> OwnContext {
        OwnContext::new()
    }

    /// A line of several fields, `field:name=value,name=value`: what `fill` writes to the section it is given.
    pub fn dictionary(&self, field: &CStr, fill: impl FnOnce(&Section)) {
        if call!(RedisModule_InfoBeginDictField(self.0, field.as_ptr())) == OK {
            fill(self);
            call!(RedisModule_InfoEndDictField(self.0));
        }
    }
}

/// Takes the place of the crate's own handler, which walks the stack when a crash report is written.
pub(crate) fn register<M: Module>(context: &Context) -> bool {
    call!(RedisModule_RegisterInfoFunc(context.raw, Some(info::<M>))) == OK
}

guarded! {
    fn info<M: Module>(context: *mut raw::RedisModuleInfoCtx, for_crash_report: c_int), else {} {
        // An empty name: the section is called by the module's name alone.
        if call!(RedisModule_InfoAddSection(context, c"".as_ptr())) == OK {
            M::info(&Section(context), for_crash_report != 0);
        }
    }
}
