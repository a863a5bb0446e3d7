"""Types of flow parameters, worded for the forms that the Prefect UI makes of them."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from tasks.domain.digest import DigestField
from tasks.domain.frozen import Frozen

TierChoice = Literal["low", "medium", "high"]
BundlePath = Annotated[
    str,
    Field(
        title="Bundle",
        description="Folder or archive with a bundle.yaml, as the worker sees it.",
        min_length=1,
        examples=["/srv/intake/vendor-bundle"],
    ),
]
Ask = Annotated[
    bool,
    Field(
        title="Ask for open answers",
        description="Wait until somebody fills in what the vendor left open in the questionnaire.",
    ),
]
DatasetPath = Annotated[
    str,
    Field(
        title="Data",
        description="A bundle, a data file (npz, csv, parquet, safetensors) or a folder of them.",
        min_length=1,
        examples=["/srv/intake/train.parquet"],
    ),
]
ProfilePath = Annotated[
    str,
    Field(
        title="Profile",
        description="A file of proofhouse profile: what the data is held against.",
        min_length=1,
        examples=["/srv/profiles/customers.yaml"],
    ),
]
AssetOrBundle = Annotated[
    str,
    Field(
        title="Asset or bundle",
        description="Asset id as in the inventory, or the path of a bundle.",
        min_length=1,
        examples=["Acme Vision/digit-reader@1.2.0"],
    ),
]
DefenceName = Literal[
    "adversarial_training",
    "art_trades",
    "jpeg_compression",
    "spatial_smoothing",
    "feature_squeezing",
    "random_resize_pad",
    "randomised_smoothing",
]
BatteryName = Annotated[
    str,
    Field(
        title="Battery",
        description="Leave out to let the risk tier choose; see: proofhouse catalog list.",
        pattern=r"^[a-z][a-z0-9_.]*$",
        examples=["quick", "standard", "thorough"],
    ),
]

Zone = Annotated[
    str,
    Field(
        title="Time zone",
        description="Its date names the night.",
        examples=["UTC", "Europe/Berlin"],
    ),
]
Alpha = Annotated[
    float,
    Field(
        title="False alarms",
        description="Chance of ever raising one about one check of one version, in all its nights.",
        gt=0,
        lt=0.5,
    ),
]
OnlyAssets = Annotated[
    tuple[str, ...],
    Field(title="Assets", description="Ids of assets; leave empty for all that are live."),
]

CanaryAsset = Annotated[
    str,
    Field(
        title="Canary",
        description="Id of one registered version; leave out for every canary.",
        min_length=1,
        examples=["Acme Vision/digit-reader@1.2.0"],
    ),
]
BaselineDays = Annotated[
    int,
    Field(title="Days", description="Days and quiet nights a baseline needs.", ge=1, le=90),
]
LongestDays = Annotated[
    int,
    Field(title="Longest", description="Days after which a person has to decide.", ge=1, le=365),
]
BaselineRequests = Annotated[
    int,
    Field(title="Requests", description="Requests that the canary must have answered.", ge=0),
]
Automatic = Annotated[
    bool, Field(title="Act", description="Promote and roll back; else only tell what follows.")
]
ModelName = Annotated[
    str,
    Field(
        title="Model",
        description="vendor/name of a registered model.",
        pattern=r".+/.+",
        examples=["Acme Vision/digit-reader"],
    ),
]
Reason = Annotated[
    str, Field(title="Reason", description="Why; signed and kept in the ledger.", min_length=1)
]
Leaving = Annotated[
    str,
    Field(
        title="Leaving",
        description="Roll back only if this version is champion now; makes a repetition harmless.",
        min_length=1,
    ),
]

DropPlaceUrl = Annotated[
    str,
    Field(
        title="Place",
        description="Folder, or s3://bucket/prefix, that bundles are dropped into.",
        min_length=1,
        examples=["s3://intake/bundles", "/srv/intake"],
    ),
]
DropName = Annotated[
    str, Field(title="Drop", description="One drop of the place; all when left out.", min_length=1)
]

LeftoverDays = Annotated[
    float, Field(title="Leftovers", description="Days that scratch of dead runs stays.", ge=1)
]
ReportDays = Annotated[
    float, Field(title="Reports", description="Days that laid-out reports stay.", ge=1)
]
RunDays = Annotated[
    float, Field(title="Flow runs", description="Days that ended flow runs stay in the UI.", ge=1)
]


ReferenceTable = Annotated[
    str,
    Field(
        title="Reference",
        description="Data that the model was judged on: a file, a folder of files, or the digest "
        "of a kept sketch.",
        min_length=1,
        examples=["/srv/reference.parquet"],
    ),
]
CurrentTable = Annotated[
    str,
    Field(
        title="Current data",
        description="What the model meets now: a file (parquet, csv, npz …) or a folder.",
        min_length=1,
        examples=["/srv/nightly/2026-11-27.parquet"],
    ),
]


class Demands(Frozen):
    """What a series of nights may spend on false alarms, and what may move without one."""

    alpha: float = Field(
        default=0.01,
        gt=0,
        lt=1,
        title="False alarms",
        description="Chance that the series ever alarms without reason, over all its references.",
    )
    tolerance: float = Field(
        default=0.05,
        ge=0,
        lt=1,
        title="Tolerance",
        description="By how much the share of rows below a value, or in a category, may move.",
    )
    risk_tolerance: float = Field(
        default=0.01,
        ge=0,
        lt=1,
        title="Tolerance of the risk",
        description="By how much the share of wrong answers may rise.",
    )


class TableRoles(Frozen):
    """Which columns are what; all others are features."""

    labels: str | None = Field(
        default=None, title="Labels", description="Column of the true answers, where they arrived."
    )
    predictions: tuple[str, ...] = Field(
        default=(),
        title="Predictions",
        description="Column of the predicted class, probability or value, or one score a class.",
    )
    model: str = Field(
        default="",
        title="Model",
        description="An accepted asset of the inventory that answers the rows of both tables.",
        max_length=400,
    )
    series: str = Field(
        default="",
        title="Series",
        description="Name under which nights add up; the reference's name when left out.",
        max_length=150,
    )
    demands: Demands = Field(
        default=Demands(), title="Demands", description="Used when a watch begins."
    )


class BareData(Frozen):
    """What to say of data that comes without a bundle.yaml; leave all out for a bundle."""

    vendor: str | None = Field(default=None, title="Vendor", description="Where it comes from.")
    name: str | None = Field(
        default=None,
        title="Name",
        description="What the data is called; versions of one name are compared.",
    )
    inputs: str | None = Field(
        default=None,
        title="Inputs",
        description="Array or column of the inputs, when the file's own names do not say it.",
    )
    labels: str | None = Field(
        default=None, title="Labels", description="Array or column of the labels, likewise."
    )
    reference: str | None = Field(
        default=None,
        title="Trusted reference",
        description="Data of the same kind that you trust; poison is looked for against it.",
    )


PlaybookName = Annotated[
    str,
    Field(
        title="Playbook",
        description="See: proofhouse catalog list.",
        pattern=r"^[a-z][a-z0-9_.]*$",
        examples=["incident.model_extraction"],
    ),
]
DryRun = Annotated[
    bool, Field(title="Dry run", description="Say what would be done, and do nothing.")
]


class IncidentForm(Frozen):
    """What happened, as somebody reports it in a form or an automation in an event."""

    title: str = Field(title="What happened", min_length=1, max_length=300)
    detected: AwareDatetime = Field(title="Seen first", description="With time zone.")
    aware: AwareDatetime | None = Field(
        default=None,
        title="Known to be an incident since",
        description="Legal clocks count from here.",
    )
    asset: str = Field(default="", title="Asset", description="Id as in the inventory.")
    vendor: str = Field(default="", title="Vendor")
    run: str = Field(default="", title="Run", description="Sealed run that it is about, if any.")
    accounts: tuple[str, ...] = Field(default=(), title="Accounts", description="At the gateway.")
    reported_by: str = Field(default="unknown", title="Reported by", min_length=1)
    summary: str = Field(default="", title="What is known", max_length=4000)
    facts: dict[str, bool | int | float | str] = Field(
        default={},
        title="Facts",
        description="What playbooks and legal clocks ask for, for example personal_data: true.",
    )
    evidence: tuple[DigestField, ...] = Field(
        default=(), title="Evidence", description="Digests of kept objects (sha256:…)."
    )


AlarmName = Annotated[
    str,
    Field(
        title="Alarm",
        description="Id of one alarm; every alarm that waits for an answer when left out.",
        pattern=r"^alarm-[0-9a-f]{20}$",
    ),
]


NEXT = "next"
"""In place of a drill's name: the tabletop that was held longest ago, or never."""
NEXT_LIVE = "next_live"
"""The same for live-fire drills."""
DrillName = Annotated[
    str,
    Field(
        title="Drill",
        description="See: proofhouse drills list. *next* and *next_live*: held longest ago.",
        pattern=r"^[a-z][a-z0-9_.]*$",
        examples=["tabletop.backdoored_vendor_model"],
    ),
]


class TableForm(Frozen):
    """How a tabletop drill is played."""

    team: str = Field(default="team", title="Team", min_length=1, max_length=200)
    faster: float = Field(
        default=10,
        title="Faster",
        description="Minutes of the story in one minute at the table; 1 plays it as in life.",
        ge=1,
        le=10_000,
    )
    session: str | None = Field(
        default=None,
        title="Go on with",
        description="Session of a run that died, as its artifacts name it; leave out to begin.",
        pattern=r"^session-[0-9a-f]{20}$",
    )


class LiveForm(Frozen):
    """How a live-fire drill is held."""

    faster: float | None = Field(
        default=None,
        title="Faster",
        description="Seconds of the story in a real one; the drill's own pace when left out.",
        gt=0,
    )
    seed: int = Field(
        default=0, title="Seed", description="Of the attack and honest callers.", ge=0
    )
