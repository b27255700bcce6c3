<?php

declare(strict_types=1);

namespace Corral;

/** The server is gone or refuses service. Seen with degrade: 'raise' only; the client's error is its cause. */
final class Unavailable extends CorralError
{
}
