<?php

declare(strict_types=1);

namespace Corral;

/** The value was not there within `wait`. */
final class WaitTimeout extends CorralError
{
}
