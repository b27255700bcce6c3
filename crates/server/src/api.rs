//! How one function of the server's API is called.

/// Calls one function of the server's API.
macro_rules! call {
    ($name:ident($($argument:expr),* $(,)?)) => {{
        // SAFETY: a plain read of a pointer that was written once, at load (contract 3).
        let function = unsafe { redis_module::raw::$name };
        match function {
            // SAFETY: the pointers are valid for this call (contract 4), on the one thread (contract 1).
            Some(function) => unsafe { function($($argument),*) },
            None => $crate::api::missing(stringify!($name)),
        }
    }};
}

/// Whether the server has a function of the API.
macro_rules! has {
    ($name:ident) => {{
        // SAFETY: as in `call!`.
        let function = unsafe { redis_module::raw::$name };
        function.is_some()
    }};
}

pub(crate) const OK: i32 = redis_module::raw::REDISMODULE_OK as i32;
pub(crate) const ERR: i32 = redis_module::raw::REDISMODULE_ERR as i32;

/// Ends in the guard of whatever callback called.
#[cold]
#[allow(clippy::panic, reason = "the guard turns it into an error reply; jumping to null would end the server")]
pub(crate) fn missing(name: &'static str) -> ! {
    panic!("this server has no {name}")
}
