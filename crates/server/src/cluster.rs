//! The cluster: which slot a key is in, and who this node's master is.

use std::ffi::{c_char, c_int, CStr, CString};

use redis_module::raw;

use crate::api::OK;
use crate::Context;

/// A node's name.
const ID_LEN: usize = raw::REDISMODULE_NODE_ID_LEN as usize;

/// As the server's NET_IP_STR_LEN: the longest address of IPv6 and a NUL.
const ADDRESS_LEN: usize = 46;

const SLOTS: u16 = 16_384;

/// What the cluster knows of a node.
struct Node {
    address: [c_char; ADDRESS_LEN],
    /// All zero for a master.
    master_id: [c_char; ID_LEN],
    port: c_int,
}

impl Context {
    /// Address and port of the master that this node replicates. `None` on a master, outside a cluster, and while the
    /// address is not known.
    pub fn my_master(&self) -> Option<(String, u16)> {
        let id = call!(RedisModule_GetMyClusterID());
        if id.is_null() {
            return None;
        }
        // SAFETY: the server's name of this node: always so many characters, and no NUL behind them.
        let id = unsafe { std::slice::from_raw_parts(id.cast::<u8>(), ID_LEN) };
        let me = self.node(&CString::new(id).ok()?)?;
        let master = self.node(&CString::new(before_nul(&me.master_id)).ok().filter(|id| !id.is_empty())?)?;
        let address = String::from_utf8(before_nul(&master.address)).ok().filter(|address| !address.is_empty())?;
        Some((address, u16::try_from(master.port).ok().filter(|port| *port > 0)?))
    }

    fn node(&self, id: &CStr) -> Option<Node> {
        let mut node = Node { address: [0; ADDRESS_LEN], master_id: [0; ID_LEN], port: 0 };
        let mut flags = 0;
        // The server writes at most as much as these hold.
        let found = call!(RedisModule_GetClusterNodeInfo(
            self.raw,
            id.as_ptr(),
            node.address.as_mut_ptr(),
            node.master_id.as_mut_ptr(),
            &mut node.port,
            &mut flags
        ));
        (found == OK).then_some(node)
    }
}

fn before_nul(characters: &[c_char]) -> Vec<u8> {
    characters.iter().map(|character| *character as u8).take_while(|byte| *byte != 0).collect()
}

/// The slot of a key: of what stands between its first `{` and the next `}`, if there is something.
pub fn slot(key: &[u8]) -> u16 {
    crc16(hash_tag(key).unwrap_or(key)) % SLOTS
}

fn hash_tag(key: &[u8]) -> Option<&[u8]> {
    let open = key.iter().position(|byte| *byte == b'{')?;
    let rest = key.get(open + 1..)?;
    let close = rest.iter().position(|byte| *byte == b'}')?;
    rest.get(..close).filter(|tag| !tag.is_empty())
}

/// CRC-16/XMODEM, bit by bit: keys are short, and this is for redirects.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| (crc << 1) ^ if crc & 0x8000 == 0 { 0 } else { 0x1021 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_the_servers() {
        assert_eq!(crc16(b"123456789"), 0x31C3, "the check value of the cluster's specification");
        assert_eq!(slot(b"foo"), 12_182);
        assert_eq!(slot(b"{user1000}.following"), slot(b"{user1000}.followers"));
        assert_eq!(slot(b"foo{}{bar}"), crc16(b"foo{}{bar}") % SLOTS, "an empty tag is none");
        assert_eq!(slot(b"foo{{bar}}zap"), slot(b"{bar"));
        assert_eq!(slot(b"foo{bar}{zap}"), slot(b"bar"));
    }
}
