<?php

declare(strict_types=1);

namespace Corral;

/** A build asked for the key that it is building. */
final class RecursiveBuild extends CorralError
{
}
