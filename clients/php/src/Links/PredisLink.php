<?php

declare(strict_types=1);

namespace Corral\Links;

use Corral\Failure;
use Corral\Link;
use Corral\Servers;
use Predis\Client;
use Predis\Command\RawCommand;
use Predis\Connection\Factory;
use Predis\Connection\NodeConnectionInterface;
use Predis\PredisException;
use Predis\Response\ErrorInterface;
use Predis\Response\Status;

final class PredisLink extends Link
{
    private NodeConnectionInterface $connection;

    public function __construct(Servers $servers, string $host, int $port, float $timeout)
    {
        $where = str_starts_with($host, '/') ? ['scheme' => 'unix', 'path' => $host] : [
            'scheme' => $servers->tls === null ? 'tcp' : 'tls', 'host' => $host, 'port' => $port, 'ssl' => $servers->tls['ssl'] ?? [],
        ];
        $this->connection = (new Factory())->create($where + ['timeout' => $timeout, 'read_write_timeout' => $this->readTimeout]);
        try {
            $this->connection->connect();
        } catch (PredisException | \ErrorException $error) {
            $this->usable = false;
            throw Failure::unreachable($error);
        }
    }

    public function hurry(float $readTimeout): void
    {
        $this->readTimeout = $readTimeout;
        $seconds = (int) $readTimeout;
        stream_set_timeout($this->connection->getResource(), $seconds, (int) (($readTimeout - $seconds) * 1e6));
    }

    public function call(array $arguments): mixed
    {
        $this->asked = microtime(true);
        try {
            // Of 2.0 and later the command's name is an argument of its own. A write to a closed socket warns, and then raises.
            $reply = @$this->connection->executeCommand(Client::VERSION[0] === '1' ? new RawCommand($arguments)
                : new RawCommand((string) $arguments[0], array_slice($arguments, 1)));
        } catch (PredisException | \ErrorException | \TypeError $error) { // a warning, or a stream that is closed
            throw $this->broken($error);
        } catch (\Throwable $interrupt) {
            throw $this->interrupted($interrupt);
        }
        if ($reply instanceof ErrorInterface) {
            throw $this->refused($reply->getMessage());
        }
        return $reply instanceof Status ? (string) $reply : $reply;
    }

    protected function disconnect(): void
    {
        $this->connection->disconnect();
    }
}
