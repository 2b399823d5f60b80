// Every word on the page in both languages. English is what the HTML already says.

const WORDS = {
  motto: ["Watches places, not people", "看场所，不看人"],
  cameras: ["Cameras", "摄像机"],
  events: ["Newest events", "最新事件"],
  noPicture: [
    "There is no picture on this page. Redacted ones are for who may see them, says why, and is recorded.",
    "本页不显示画面。脱敏后的画面仅供有权限并说明理由的人员查看，且每次查看均有记录。",
  ],
  liveView: ["Live view", "实时画面"],
  liveNote: [
    "Heads are covered before a picture leaves the node. Who watches what, and why, is recorded.",
    "画面中的头部在离开节点之前已被遮盖。谁、因何、查看了什么，均有记录。",
  ],
  why: ["Why (at least ten characters)", "查看理由（至少十个字符）"],
  watch: ["Watch", "查看"],
  stop: ["Stop", "停止"],
  status: ["Status", "状态"],
  signInFirst: ["Sign in first.", "请先登录。"],
  noWebrtc: ["WebRTC does not get through; pictures come as JPEG.", "WebRTC 无法连通，改以 JPEG 显示。"],
  signIn: ["Sign in", "登录"],
  signOut: ["Sign out", "退出"],
  signInElsewhere: ["Sign in with your organisation", "使用单位统一身份登录"],
  firstAdmin: ["The first admin", "首位管理员"],
  name: ["Name", "用户名"],
  unit: ["Organisation", "单位"],
  password: ["Password", "密码"],
  newPassword: ["Password, 12 characters or more", "密码（至少 12 个字符）"],
  levelNote: ["Levels are system prompts, not official warnings.", "级别为「系统提示」，不是政府发布的预警。"],
  noEvents: ["No events yet.", "暂无事件。"],
  interface: ["Interface", "接口说明"],
  metrics: ["Metrics", "指标"],
  level: ["Level", "系统提示"],
  time: ["Time", "时间"],
  event: ["Event", "事件"],
  phase: ["Phase", "阶段"],
  camera: ["Camera", "摄像机"],
  zone: ["Zone", "区域"],
  measures: ["Measures", "量值"],
  detector: ["Detector", "检测模型"],
  provider: ["runs on", "运行于"],
  redis: ["Events go to", "事件送往"],
  waiting: ["waiting", "待送"],
  thresholds: ["Thresholds", "阈值"],
  surge: ["surge: sharper, as the centre said", "战时：按中心指令收紧"],
  published: ["delivered", "已送达"],
  uptime: ["Up for", "已运行"],
  camerasUp: ["Cameras up", "在线摄像机"],
  analysed: ["analysed", "分析"],
  received: ["received", "接收"],
  perSecond: ["pictures/s", "帧/秒"],
  age: ["last picture", "最近一帧"],
  ago: ["ago", "前"],
  none: ["none yet", "尚无"],
  people: ["people", "人数"],
  mean: ["mean /m²", "平均 /m²"],
  worst: ["worst /m²", "最密 /m²"],
  uncalibrated: ["no ground plane: density unknown", "未标定地面：不计算密度"],
  notJudged: ["not judged", "未判定"],
  drops: ["skipped", "未分析"],
  reconnects: ["reconnects", "重连"],
  open: ["open", "未结束"],
  live: ["live", "实时"],
  lost: ["connection lost, retrying", "连接中断，重试中"],
  connecting: ["connecting", "连接中"],
  up: ["up", "正常"],
  down: ["down", "中断"],
  retrying: ["retrying", "重试中"],
  stopped: ["stopped", "已停止"],
  begin: ["begin", "开始"],
  update: ["update", "更新"],
  end: ["end", "结束"],
  missed: ["{n} events were not shown here", "有 {n} 条事件未在此显示"],
  gated: ["by rate", "限速"],
  superseded: ["superseded", "被新帧取代"],
  expired: ["too old", "过期"],
  L1: ["1 red", "一级 红"],
  L2: ["2 orange", "二级 橙"],
  L3: ["3 yellow", "三级 黄"],
  L4: ["4 blue", "四级 蓝"],
};

const TYPES = {
  "crowd.density": ["Crowd density", "人群密度"],
  "crowd.flow": ["Crowd flow", "人流"],
  "crowd.counterflow": ["Counterflow", "人群对冲"],
  "crowd.pressure": ["Crowd pressure", "人群压力"],
  "crowd.surge": ["Crowd surge", "人群涌动"],
  "crowd.forecast": ["Crowd forecast", "人群预测"],
  "hazard.intrusion": ["Restricted zone entered", "进入禁区"],
  "hazard.line": ["Line crossed", "越线"],
  "hazard.wrongway": ["Wrong way", "逆行"],
  "hazard.fall": ["Fall", "跌倒"],
  "hazard.abandoned": ["Object left", "遗留物"],
  "hazard.removed": ["Object taken away", "物品移除"],
  "hazard.obstruction": ["Exit obstructed", "通道占用"],
  "hazard.forbidden_object": ["Forbidden object", "禁入物品"],
  "hazard.fire": ["Fire or smoke", "火情烟雾"],
  "camera.offline": ["Camera offline", "摄像机离线"],
  "camera.frozen": ["Picture frozen", "画面冻结"],
  "camera.dark": ["Picture dark", "画面过暗"],
  "camera.blurred": ["Picture blurred", "画面模糊"],
  "camera.covered": ["Camera covered", "镜头遮挡"],
  "camera.moved": ["Camera moved", "摄像机移位"],
  "motion.unusual": ["Unusual motion", "异常运动"],
  "node.heartbeat": ["Heartbeat", "心跳"],
  "node.coverage": ["Coverage", "覆盖"],
  "node.gap": ["Events lost", "事件缺失"],
};

const MEASURES = {
  count: "人数",
  density_mean: "平均密度",
  density_worst_cell: "最密处",
  capacity_share: "容量占比",
  share: "占比",
  silent: "无画面",
  presence: "停留",
  cameras: "摄像机",
  cameras_up: "在线",
  analysed: "分析",
  uptime: "已运行",
  threshold_ratio: "阈值倍数",
  events: "事件",
  crossings: "越线",
  crossings_right: "向右",
  crossings_left: "向左",
  duration: "持续",
  cell_x: "位置 x",
  cell_y: "位置 y",
  speed: "速度",
  speed_usual_low: "通常最慢",
  speed_usual_high: "通常最快",
  way_deg: "方向",
  way_usual_deg: "通常方向",
  place_tail_share: "位置 p 值",
  size_tail_share: "尺寸类别 p 值",
  way_tail_share: "方向 p 值",
  speed_tail_share: "速度 p 值",
  peak_count: "最多人数",
  peak_density_worst_cell: "最密峰值",
};

const UNITS = [["_per_m2", "/m²"], ["_m2", " m²"], ["_fps", " fps"], ["_m_s", " m/s"], ["_m", " m"], ["_s", " s"]];
const STORE = "sharpeyes.language";

function stored() {
  try { return localStorage.getItem(STORE); } catch { return null; }
}

export let language = stored() || (navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en");

export function setLanguage(wanted) {
  language = wanted;
  try { localStorage.setItem(STORE, wanted); } catch { /* private window: not remembered */ }
}

const pick = (pair) => pair[language === "zh" ? 1 : 0];

export function word(key) {
  return key in WORDS ? pick(WORDS[key]) : key;
}

export function typeName(kind) {
  return kind in TYPES ? pick(TYPES[kind]) : kind;
}

export function number(value, digits = 1) {
  return Number(value).toLocaleString(language === "zh" ? "zh-CN" : "en", { maximumFractionDigits: digits });
}

export function measure(name, value) {
  const [suffix, unit] = UNITS.find(([end]) => name.endsWith(end)) || ["", ""];
  const stem = name.slice(0, name.length - suffix.length);
  const title = (language === "zh" && MEASURES[stem]) || stem.replaceAll("_", " ");
  return `${title} ${number(value, 2)}${unit}`;
}

export function duration(seconds) {
  const s = Math.max(0, Math.round(seconds));
  const units = language === "zh" ? ["天", "小时", "分", "秒"] : ["d", "h", "min", "s"];
  const parts = [Math.floor(s / 86400), Math.floor(s / 3600) % 24, Math.floor(s / 60) % 60, s % 60];
  const first = parts.findIndex((part) => part > 0);
  if (first < 0) return `0 ${units[3]}`;
  return parts.slice(first, first + 2).map((part, i) => `${part} ${units[first + i]}`).join(" ");
}
