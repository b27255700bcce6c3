<?php

declare(strict_types=1);

namespace Corral;

/** The server's module is too old for an option that was asked for. */
final class Unsupported extends CorralError
{
}
