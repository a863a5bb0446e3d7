"""The same limits in Redis: several gateways, one counter, and no state lost at a restart.

One Lua script decides, so the decision is atomic however many gateways ask; time is Redis' own.
Without Redis nothing is granted: a limit that cannot be counted is not a limit.
"""

from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from tasks.domain.errors import GatewayUnavailableError
from tasks.gateway.limits import Taken
from tasks.gateway.policy import Role

_TAKE = """
local clock = redis.call('TIME')
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1e6
local items, rate, burst = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local quota, period = tonumber(ARGV[4]), tonumber(ARGV[5])
local kept = redis.call('HMGET', KEYS[1], 'tokens', 'seen', 'began', 'used')
local tokens, seen = tonumber(kept[1]) or burst, tonumber(kept[2]) or now
local began, used = tonumber(kept[3]) or now, tonumber(kept[4]) or 0
tokens = math.min(burst, tokens + math.max(0, now - seen) * rate)
if now - began >= period then began, used = now, 0 end
local why, wait = '', 0
if items > burst then why = 'size'
elseif quota >= 0 and used + items > quota then
  why, wait = 'quota', math.max(0, began + period - now)
elseif items > tokens then why, wait = 'rate', (items - tokens) / rate
else tokens, used = tokens - items, used + items end
redis.call('HSET', KEYS[1], 'tokens', string.format('%.17g', tokens),
  'seen', string.format('%.17g', math.max(now, seen)),
  'began', string.format('%.17g', began), 'used', used)
redis.call('EXPIRE', KEYS[1], math.ceil(math.max(period, burst / rate)) + 60)
return {why, string.format('%.6f', wait), used}
"""
_GIVE_BACK = """
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
local kept = redis.call('HMGET', KEYS[1], 'tokens', 'used')
local items = tonumber(ARGV[1])
redis.call('HSET', KEYS[1], 'tokens',
  string.format('%.17g', math.min(tonumber(ARGV[2]), tonumber(kept[1]) + items)),
  'used', math.max(0, tonumber(kept[2]) - items))
return 1
"""


class RedisLimits:
    """Counters in Redis, under ``<prefix>:<account>``.

    Args:
        url: ``redis://host:port/db`` or ``rediss://…``.
        prefix: Names the gateway; gateways with one prefix share their counters.
    """

    def __init__(self, url: str, prefix: str) -> None:
        self._redis: Any = Redis.from_url(url, socket_timeout=2, socket_connect_timeout=2)
        self._prefix = prefix
        self._take = self._redis.register_script(_TAKE)
        self._give_back = self._redis.register_script(_GIVE_BACK)

    async def take(self, account: str, items: int, role: Role) -> Taken:
        """See :meth:`tasks.gateway.limits.Limits.take`.

        Raises:
            GatewayUnavailableError: Redis does not answer.
        """
        quota = -1 if role.quota is None else role.quota
        arguments = [items, role.rate_per_second, role.burst, quota, role.quota_seconds]
        try:
            why, wait, used = await self._take(keys=[self._key(account)], args=arguments)
        except (RedisError, OSError) as error:
            raise GatewayUnavailableError(
                f"Redis does not answer ({type(error).__name__}), so nothing can be granted"
            ) from error
        text = why.decode()
        return Taken(not text, text, float(wait), int(used))

    async def give_back(self, account: str, items: int, role: Role) -> None:
        """See :meth:`tasks.gateway.limits.Limits.give_back`."""
        try:
            await self._give_back(keys=[self._key(account)], args=[items, role.burst])
        except (RedisError, OSError) as error:
            raise GatewayUnavailableError(
                f"Redis does not answer ({type(error).__name__}), so nothing can be given back"
            ) from error

    async def close(self) -> None:
        """Hangs up."""
        await self._redis.aclose()

    def _key(self, account: str) -> str:
        return f"{self._prefix}:{account}"
