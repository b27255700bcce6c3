<?php

declare(strict_types=1);

namespace Corral\Laravel;

use Corral\Corral;
use Illuminate\Support\ServiceProvider;

/**
 * The driver `corral` for config/cache.php:
 *
 *     'stores' => ['corral' => ['driver' => 'corral', 'url' => env('REDIS_URL'), 'options' => ['sie' => 3600]]],
 */
final class CorralServiceProvider extends ServiceProvider
{
    public function boot(): void
    {
        $this->app->make('cache')->extend('corral', function ($app, array $config) {
            return new CorralRepository(new CorralStore(
                new Corral($config['client'] ?? $config['url'] ?? 'redis://127.0.0.1:6379', ...['serializer' => new Values()] + ($config['options'] ?? [])),
                $config['prefix'] ?? $app['config']->get('cache.prefix', ''),
            ));
        });
    }
}
