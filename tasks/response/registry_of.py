"""The registry that responses act on."""

from tasks.registry.place import RegistryPlace
from tasks.response.acting import ActionError, World


def registry_of(world: World) -> RegistryPlace:
    """Returns the registry of this world.

    Raises:
        ActionError: There is none.
    """
    if world.registry is None:
        raise ActionError("no registry is set up here: register an accepted model first")
    return world.registry
