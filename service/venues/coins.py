"""Which tickers are coins, for venues whose metadata do not tell coins from stocks, metals and currencies. Pure.

A stock may have a coin's ticker (DASH is DoorDash, too), and at such a venue nothing but its price would tell. So only
what is known to be a coin counts there. A ticker that is neither here nor in the table of assets is left out until
somebody looks what it is: an ``[[assets]]`` row of the configuration (``ticker`` and ``canonical`` alike, ``venue``)
says that it is a coin. The other venues count it all the same: their metadata say what it is.
"""

from __future__ import annotations

from collections.abc import Collection

# Canonical symbols, put together by hand in December 2026. Left out on purpose: coins whose ticker is also that of a
# stock, fund, metal, currency or index large enough that venues make perpetuals of it (A, AI, CAT, COMP, CVX, DASH,
# GAS, LIT, META, S, SPX, STX, SUN, T, ...). The ticker of a smaller company (NEAR, CAKE) is taken for the coin: a stock
# under it would be far off the mark of other venues, and so in quarantine.
_COINS = """
BTC ETH SOL XRP BNB DOGE ADA AVAX LINK DOT LTC BCH TRX SUI APT ARB OP NEAR GRAM HYPE
1000PEPE 1000SHIB 1000BONK 1000FLOKI 1000LUNC 1000XEC 1000SATS 1000RATS 1000CHEEMS 1000WHY
1INCH AAVE ACE ACH ACT AERO AEVO AGLD AIXBT AKT ALGO ALICE ALPACA ALT ANIME ANKR APE API3 ARK ARKM ASTER ATOM
AUCTION AVNT AXL AXS AZTEC BABY BADGER BAKE BAL BAND BAT BEAMX BEL BERA BICO BIGTIME BLUR BNT BOME BRETT BSV
CAKE CELO CELR CFX CHILLGUY CHR CHZ CKB COTI CRV CTSI CYBER DENT DEGEN DODO DOGS DRIFT DYDX DYM EDU EGLD
EIGEN ENA ENJ ENS ETC ETHFI ETHW FARTCOIN FET FIL FLOW FLUX FXS GALA GLM GMT GMX GOAT GRASS GRT HBAR HMSTR
HNT HOT HYPER ICP ICX ID ILV IMX INIT INJ IO IOST IOTA IOTX IP JASMY JTO JUP KAIA KAITO KAS KAVA KNC KSM LAYER
LDO LINEA LISTA LPT LQTY LRC LSK LUNA MAGIC MANA MANTA MASK MAV MELANIA METIS MEW MINA MNT MOG MON MOODENG
MORPHO MOVE MTL NEIRO NEO NIL NMR NOT NXPC OGN OMNI ONDO ONE ONT ORCA ORDI OSMO PAXG PENDLE PENGU PEOPLE PHA
PIXEL PNUT POL POLYX POPCAT PORTAL POWR PROVE PUMP PYTH QNT QTUM RARE RAY REZ RENDER RESOLV REQ RIF RLC RONIN
ROSE RPL RSR RUNE RVN SAFE SAGA SAND SCR SEI SFP SKL SKY SLP SNX SPK SSV STEEM STG STO STORJ STRK SUPER
SUSHI SYRUP SXP TAIKO TAO THETA TIA TNSR TRB TRUMP TURBO TWT UMA UNI USUAL VANA VANRY VET VIRTUAL VVV WAL WIF
WLD WLFI WOO XAI XAUT XLM XMR XPL XTZ XVG XVS YFI YGG ZEC ZEN ZETA ZIL ZK ZKC ZORA ZRO ZRX 币安人生
"""
COINS = frozenset(_COINS.split())

# Known to be none: the reason says so, instead of that nobody knows.
_NOT_COINS = """
AAPL ABNB ADBE AMD AMZN ASML AVGO BABA BIDU BMNR BRKB COIN COST CRCL CRM CRWV CVX DASH DIS GME GOOG GOOGL HOOD
IBM INTC JPM KO LLY MA MCD META MRVL MSFT MSTR MU NFLX NIO NKE NVDA ORCL PDD PFE PLTR PYPL QCOM RDDT RIVN
SBET SHOP SMCI SNDK SNOW STX TSLA TSM UBER UNH V WMT XOM
DIA IWM NDX QQQ SPY US100 US30 US500 VIX VOO
XAG XAU XPD XPT XCU COPPER BRENT BRENTOIL NATGAS UKOIL USOIL WTI
AUDUSD EUR EURUSD GBP GBPUSD JPY NZDUSD USDCAD USDCHF USDCNH USDJPY USDKRW
"""
NOT_COINS = frozenset(_NOT_COINS.split())


def why_no_coin(symbol: str, assets: Collection[str] = ()) -> str | None:
    """Why an instrument of this symbol is left out at a venue whose metadata do not say what it is; None: a coin.

    ``assets``: names that the table of assets knows.

    >>> why_no_coin("BTC"), why_no_coin("TSLA"), why_no_coin("XYZ"), why_no_coin("XYZ", ["XYZ"])
    (None, 'not_crypto', 'unknown_kind', None)
    """
    if symbol in COINS or symbol in assets:
        return None
    return "not_crypto" if symbol in NOT_COINS else "unknown_kind"
