<?php

declare(strict_types=1);

namespace Corral;

/** A wrong option, template or argument: found before any server was asked. */
final class Usage extends \InvalidArgumentException
{
}
