<?php

declare(strict_types=1);

namespace Corral;

final class ModuleMissing extends CorralError
{
    public function __construct(string $where, ?\Throwable $cause = null)
    {
        parent::__construct("$where does not have the Corral module; in its redis.conf: loadmodule /path/to/libcorral.so", 0, $cause);
    }
}
