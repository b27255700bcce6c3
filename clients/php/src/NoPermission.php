<?php

declare(strict_types=1);

namespace Corral;

/** The server's ACL refuses a command, a key or the credentials. */
final class NoPermission extends CorralError
{
}
