"""The indicators of the library: the explicit list, each with its usual window. A new one is a file and a line here."""

from __future__ import annotations

from typing import Any

from service.indicators.library.basis import Basis
from service.indicators.library.chain_linked_oi import ChainLinkedOi
from service.indicators.library.contract import Indicator
from service.indicators.library.funding_apr import FundingApr
from service.indicators.library.funding_mean import FundingMean
from service.indicators.library.funding_rate import FundingRate
from service.indicators.library.funding_z import FundingZ
from service.indicators.library.leverage import LeverageRatio
from service.indicators.library.liquidations import Liquidations
from service.indicators.library.long_short_ratio import LongShortRatio
from service.indicators.library.oi_delta import OiDelta
from service.indicators.library.oi_momentum import OiMomentum
from service.indicators.library.oi_price_divergence import OiPriceDivergence
from service.indicators.library.oi_to_volume import OiToVolume
from service.indicators.library.oi_weighted_price import OiWeightedPrice
from service.indicators.library.percentile_30d import Percentile30d
from service.indicators.library.premium_index import PremiumIndex
from service.indicators.library.quadrant import Quadrant
from service.indicators.library.robust_z import RobustZ
from service.indicators.library.taker_ratio import TakerRatio

_LISTED: tuple[type[Indicator[Any]], ...] = (
    FundingRate,
    FundingMean,
    FundingZ,
    FundingApr,
    Basis,
    PremiumIndex,
    OiDelta,
    OiMomentum,
    OiPriceDivergence,
    OiWeightedPrice,
    OiToVolume,
    LongShortRatio,
    TakerRatio,
    Liquidations,
    LeverageRatio,
    RobustZ,
    Percentile30d,
    Quadrant,
    ChainLinkedOi,
)
REGISTRY: dict[str, type[Indicator[Any]]] = {kind.ABOUT.id: kind for kind in _LISTED}

NOT_APPLICABLE = {
    "TermStructureBasis": "basis of a dated future over the index: a perpetual has no term",
    "CalendarSpread": "dated future less perpetual: the service follows no dated futures",
}
