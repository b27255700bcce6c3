//! The module's section of INFO.

use std::ffi::{c_int, CStr};

use redis_module::raw;

use super::{call, Context};
use crate::redis::guard::guarded;
use crate::redis::info;

/// Where fields are written.
pub struct Section(*mut raw::RedisModuleInfoCtx);

impl Section {
    pub fn number(&self, field: &CStr, value: u64) {
        call!(RedisModule_InfoAddFieldULongLong(self.0, field.as_ptr(), value));
    }

    pub fn text(&self, field: &CStr, value: &CStr) {
        call!(RedisModule_InfoAddFieldCString(self.0, field.as_ptr(), value.as_ptr()));
    }
}

/// Takes the place of the crate's own handler, which walks the stack when a crash report is written.
pub fn register(context: &Context) -> bool {
    call!(RedisModule_RegisterInfoFunc(context.raw, Some(report))) == super::context::OK
}

guarded! {
    fn report(context: *mut raw::RedisModuleInfoCtx, for_crash_report: c_int), else {} {
        // An empty name: the section is called by the module's name alone.
        if call!(RedisModule_InfoAddSection(context, c"".as_ptr())) == super::context::OK {
            info::report(&Section(context), for_crash_report != 0);
        }
    }
}
