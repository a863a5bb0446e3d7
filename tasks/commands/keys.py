"""``proofhouse keys``: the development signing key."""

from tasks.cli import Answer


def keys_init_answer() -> Answer:
    """Makes the key of this home unless there is one; says where its public half lies."""
    from tasks.ledger.keys import make_key  # noqa: PLC0415
    from tasks.settings import read_settings  # noqa: PLC0415

    home = read_settings().home.resolve()
    home.mkdir(parents=True, exist_ok=True)
    public = make_key(home)
    return Answer({"public_key": str(public)}, [f"public key: {public}"])
