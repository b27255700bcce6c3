<?php

declare(strict_types=1);

namespace Corral;

/** The server answered what this version does not know, and that must not be taken for anything else. */
final class UnknownAnswer extends CorralError
{
}
