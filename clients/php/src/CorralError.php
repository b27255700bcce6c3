<?php

declare(strict_types=1);

namespace Corral;

/** What this package raises, but for a build's own exception and the serializer's. */
class CorralError extends \RuntimeException
{
}
