//! What the commands of holders share: FILL, TOUCH, FAIL, PASS, RELEASE, and in part RENEW.

use std::ffi::CStr;

use corral_core::error::Error;
use corral_core::request::Request;
use corral_core::token::Token;
use corral_core::words::token;
use corral_server::{Argv, Context, KeyName};

use super::absent;
use super::get_or_lock::read_only;
use crate::{keyspace, reply};

/// Held back by a pause, but not refused by the server where the waiters could still be told.
pub const FLAGS: &CStr = c"may-replicate fast";

/// The two words that all of them begin with.
pub fn key_and_token(args: Argv) -> Result<(KeyName, Token), Error> {
    Ok((args.key(0).map_err(absent)?, token(args.word(1).map_err(absent)?)?))
}

/// Has the node hear a holder's word, on the master alone.
pub fn speak(context: &Context, name: KeyName, word: &Request) -> Result<(), Error> {
    if !context.flags().is_master() {
        return Err(read_only(context, name));
    }
    reply::reply(context, keyspace::step(context, name, word), name)
}
