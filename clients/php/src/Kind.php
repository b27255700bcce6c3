<?php

declare(strict_types=1);

namespace Corral;

/** What an error of the server or of a connection means for a caller. */
enum Kind
{
    case Lost;      // the connection broke
    case Outage;    // the server cannot or will not serve
    case Again;     // to be asked again
    case Moved;     // another node has the slot
    case Denied;    // the ACL refuses
    case Missing;   // the module is not there
    case Other;

    /** By the code, which is the first word; Redis says ERR for an unknown command and for a full server, too. */
    public static function ofReply(string $error): self
    {
        return match (strtok($error, ' ')) {
            'NOPERM', 'NOAUTH', 'WRONGPASS' => self::Denied,
            'UNBLOCKED', 'TRYAGAIN' => self::Again,
            'MOVED', 'ASK' => self::Moved,
            'LOADING', 'MASTERDOWN', 'CLUSTERDOWN', 'READONLY', 'MISCONF', 'NOREPLICAS', 'OOM', 'BUSY' => self::Outage,
            'ERR' => match (true) {
                stripos($error, 'ERR unknown command') === 0 => self::Missing,
                stripos($error, 'ERR max number of clients') === 0 => self::Outage,
                default => self::Other,
            },
            default => self::Other,
        };
    }
}
