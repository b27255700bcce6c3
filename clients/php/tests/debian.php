<?php

/* What the plugs plug into, as Debian installs it: there is no other registry of PHP's here. */

declare(strict_types=1);

foreach (['Symfony/Component/Cache', 'Illuminate/Cache', 'Illuminate/Container', 'Illuminate/Config', 'Psr/SimpleCache', 'Predis', 'Cache/IntegrationTests'] as $package) {
    @include_once "$package/autoload.php";
}
