//! EVAL, as far as it goes without Lua: `return redis.call(WORD, …)`, each word a quoted string, `KEYS[n]` or `ARGV[n]`.

use corral_core::error::Error;
use corral_core::node::Parking;
use corral_testkit::Reply;

use super::commands::{checked, said, Call};
use super::connection::Words;
use super::session::integer;
use super::stage::NodeStage;

/// Who calls is no connection, and nothing may block.
pub fn eval(stage: &mut NodeStage, call: Call) -> Result<Option<Reply>, Error> {
    let keys = usize::try_from(integer(call.arguments[1])?).ok().filter(|keys| *keys <= call.arguments.len() - 2);
    let keys = keys.ok_or_else(|| said("ERR Number of keys can't be greater than number of args"))?;
    let (keys, others) = call.arguments[2..].split_at(keys);
    let words = words(call.arguments[0], keys, others);
    let words = words.ok_or_else(|| said("ERR this stage knows scripts that are one `return redis.call(…)` alone"))?;
    let command = checked(stage, &words)?;
    if !command.is_allowed_in_scripts() {
        return Err(said("ERR This Redis command is not allowed from script"));
    }
    let arguments: Vec<&[u8]> = words[1..].iter().map(Vec::as_slice).collect();
    stage.world.server.parking = Parking::Denied;
    let reply = (command.run)(stage, Call { client: 0, is_resp3: false, arguments: &arguments, ..call });
    // In a transaction, EXEC puts back what was before it.
    let in_transaction = call.in_transaction;
    stage.world.server.parking = if in_transaction { Parking::Denied } else { stage.config.parking() };
    reply
}

/// The words of the one call; `None` if there is anything else.
fn words(script: &[u8], keys: &[&[u8]], others: &[&[u8]]) -> Option<Words> {
    let script = std::str::from_utf8(script).ok()?;
    let words = script.strip_prefix("return redis.call(")?.strip_suffix(')')?;
    let word = |word: &str| {
        let numbered = |name: &str, of: &[&[u8]]| {
            let place: usize = word.strip_prefix(name)?.strip_suffix(']')?.parse().ok()?;
            Some(of.get(place.checked_sub(1)?)?.to_vec())
        };
        let quoted = word.strip_prefix('\'').and_then(|word| word.strip_suffix('\''));
        let is_plain = |quoted: &&str| !quoted.contains(['\'', '\\']);
        let quoted = quoted.filter(is_plain).map(|quoted| quoted.as_bytes().to_vec());
        quoted.or_else(|| numbered("KEYS[", keys)).or_else(|| numbered("ARGV[", others))
    };
    words.split(", ").map(word).collect()
}
